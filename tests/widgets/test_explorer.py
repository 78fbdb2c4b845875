"""The widget, without a browser: what it sends is what the library computes for its settings."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2vss_lib.views.layers import colour_labels
from sam2vss_lib.widgets.data import Scene
from sam2vss_lib.widgets.explorer import Explorer
from sam2vss_lib.widgets.measures import ClipMeasures
from sam2vss_lib.widgets.pictures import LAYERS, layer_view
from sam2vss_lib.widgets.pixels import pixel_facts
from sam2vss_lib.widgets.stores import Choice
from sam2vss_lib.widgets.wording import pixel_html
from tests.widgets.conftest import LOOSE, World, settings_at


def decoded(data: bytes) -> np.ndarray:
    image = Image.open(BytesIO(data))
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


@pytest.fixture
def explorer(world: World) -> Explorer:
    return Explorer(world.data(LOOSE, settings_at(0.2, 0.2, window=5)))


def show(explorer: Explorer, *names: str) -> None:
    explorer.canvas.layers = [
        {**layer, "opacity": 1.0 if layer["name"] in names else 0.0}
        for layer in explorer.canvas.layers
    ]


def test_every_layer_is_sent_as_it_is_drawn_without_a_widget(explorer: Explorer) -> None:
    show(explorer, *LAYERS)
    explorer.draw()
    sent = explorer.canvas.pictures
    assert sent["frame"] == explorer.scene.frame
    assert "right" not in sent
    assert sent["left"].keys() == {"frame", *LAYERS}
    for name in LAYERS:
        drawn = layer_view(explorer.data, explorer.scene, explorer.controls.choice, name)
        assert drawn is not None
        assert np.array_equal(decoded(sent["left"][name]), drawn)


def test_only_what_is_seen_is_sent(explorer: Explorer) -> None:
    show(explorer, "refined")
    explorer.draw()
    assert explorer.canvas.pictures["left"].keys() == {"frame", "refined"}
    explorer.canvas.swipe = 0.0
    explorer.draw()
    assert "left" not in explorer.canvas.pictures
    assert not explorer.draw()  # nothing was moved


def test_a_threshold_changes_labels_numbers_and_what_is_said(explorer: Explorer) -> None:
    show(explorer, "refined")
    explorer.controls.all["iou"].value = 0.9
    explorer.settle()
    choice = explorer.controls.choice
    assert choice == Choice.of(settings_at(0.9, 0.2))
    labels = explorer.data.labels(explorer.scene, choice)
    expected = colour_labels(labels, explorer.data.num_classes)
    assert np.array_equal(decoded(explorer.canvas.pictures["left"]["refined"]), expected)
    scene = explorer.scene
    run = ClipMeasures(explorer.data, scene.clip, scene.base, choice).finish()
    for value in run.metrics.values():
        shown = "–" if value is None else f"{value:.2f}"
        assert f"<td>{shown}</td>" in explorer.metrics.value
    assert explorer.canvas.curves["miou"] == [round(v, 3) for v in run.miou]
    assert explorer.remark.value.startswith("Equals a run of SAM2")
    assert explorer.canvas.status == ""


def test_that_the_gate_is_not_applied_is_said(explorer: Explorer) -> None:
    said = "The gate decides on whole clips and is not applied here"
    assert said not in explorer.remark.value
    explorer.controls.all["vote"].value = "adaptive"
    explorer.draw()
    assert said in explorer.remark.value


def test_a_picked_pixel_is_told_of(explorer: Explorer) -> None:
    explorer.canvas.pixel, explorer.canvas.hover = [160, 120], [5, 6]
    explorer.draw()
    scene, choice = explorer.scene, explorer.controls.choice
    facts = pixel_facts(explorer.data, scene, choice, (160, 120))
    assert explorer.canvas.info == pixel_html(explorer.data, facts, scene.frame)
    assert explorer.canvas.hint.startswith("(5, 6)")


def test_swipe_compares_with_pinned_settings(explorer: Explorer) -> None:
    show(explorer, "refined")
    explorer.controls.pin.click()
    explorer.controls.all["iou"].value = 0.9
    explorer.canvas.swipe = 0.5
    explorer.settle()
    name, beside = explorer.controls.beside
    assert (name, beside) == ("pinned settings", Choice.of(LOOSE))
    for side, choice in (("left", explorer.controls.choice), ("right", Choice.of(LOOSE))):
        labels = explorer.data.labels(explorer.scene, choice)
        expected = colour_labels(labels, explorer.data.num_classes)
        assert np.array_equal(decoded(explorer.canvas.pictures[side]["refined"]), expected)
    assert explorer.metrics.value.count("<tr>") == 4  # head, base, these, pinned


def test_windows_that_are_stored_are_offered(explorer: Explorer) -> None:
    window: Any = explorer.controls.all["window"]
    assert list(window.options) == [3, 5]
    window.value = 5
    explorer.draw()
    assert explorer.data.opened(explorer.scene.clip, explorer.controls.choice).settings.window == 5
    assert explorer.controls.all["iou"].min == 0.2


def test_every_control_has_a_name(explorer: Explorer) -> None:
    assert all(control.description for control in explorer.controls.all.values())
    assert explorer.controls.pin.description


def test_names_are_no_markup(world: World) -> None:
    data = world.data(LOOSE)
    data.class_names = tuple(f"<b>{name}" for name in data.class_names)
    scene = Scene(world.dataset.clips[0].name, "Coarse", 1)
    html = pixel_html(data, pixel_facts(data, scene, Choice.of(LOOSE), (160, 120)), 1)
    assert "<b>Pixel" in html
    assert html.count("<b>") == 1
