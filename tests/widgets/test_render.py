"""Views need no browser: pictures are blended layers, figures show numbers, files have a size."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image

from sam2vss_lib.views.layers import blend
from sam2vss_lib.widgets.data import Scene
from sam2vss_lib.widgets.measures import ClipMeasures, lives
from sam2vss_lib.widgets.pictures import LAYERS, clip_view, frame_view, layer_view, swipe_view
from sam2vss_lib.widgets.pixels import pixel_facts
from sam2vss_lib.widgets.render import (
    clips_view,
    contact_sheet,
    default_scene,
    pixel_view,
    save,
    timeline_view,
)
from sam2vss_lib.widgets.stores import Choice
from tests.widgets.conftest import LOOSE, World


def widths(axis: Axes) -> list[float]:
    return [bar.get_width() for bar in axis.patches if isinstance(bar, Rectangle)]


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world.dataset.clips[0].name, "Coarse", 2)


def test_a_frame_is_its_layers_blended(world: World, scene: Scene) -> None:
    data, choice = world.data(LOOSE), Choice.of(LOOSE)
    refined = layer_view(data, scene, choice, "refined")
    changes = layer_view(data, scene, choice, "changes")
    assert refined is not None
    assert changes is not None
    frame = data.clip(scene.clip).frame(2)
    shown = frame_view(data, scene, choice, [("refined", 0.3), ("changes", 0.8)])
    assert np.array_equal(shown, blend(frame, (refined, 0.3), (changes, 0.8)))
    film = list(clip_view(data, scene, choice, [("refined", 0.3), ("changes", 0.8)]))
    assert len(film) == data.clip(scene.clip).num_frames
    assert np.array_equal(film[2], shown)
    parted = swipe_view(shown, frame, 0.25)
    assert np.array_equal(parted[:, :80], shown[:, :80])
    assert np.array_equal(parted[:, 80:], frame[:, 80:])


def test_an_unknown_layer_is_refused(world: World, scene: Scene) -> None:
    with pytest.raises(ValueError, match="no layer 'x'; there are truth, base"):
        layer_view(world.data(LOOSE), scene, Choice.of(LOOSE), "x")


def test_the_sheet_has_every_layer(world: World) -> None:
    data = world.data(LOOSE)
    figure = contact_sheet(data, *default_scene(data))
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["Frame", *LAYERS.values()]


def test_the_timeline_draws_the_numbers(world: World, scene: Scene) -> None:
    data, choice = world.data(LOOSE), Choice.of(LOOSE)
    base = ClipMeasures(data, scene.clip, "Coarse", "Coarse").finish()
    refined = ClipMeasures(data, scene.clip, "Coarse", choice).finish()
    figure = timeline_view(base, refined, lives(data, scene.clip, choice), 2)
    lines = figure.axes[0].lines
    assert np.array_equal(lines[0].get_ydata(), base.miou)
    assert np.array_equal(lines[1].get_ydata(), refined.miou)


def test_clips_are_sorted_by_gain(world: World) -> None:
    data = world.data(LOOSE)
    data.gains = {"Coarse": {world.dataset.clips[0].name: -1.5}}
    assert widths(clips_view(data, "Coarse").axes[0]) == [-1.5]


def test_a_pixel_view_shows_votes_of_the_masklet_on_top(world: World, scene: Scene) -> None:
    data = world.data(LOOSE)
    facts = pixel_facts(data, scene, Choice.of(LOOSE), (160, 120))
    votes, history = pixel_view(data, facts).axes
    assert widths(votes) == [*facts.candidates[0].votes.values()][:6]
    assert len(history.patches) == 2 * len(facts.history)


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_any_view_is_saved_at_paper_size(
    world: World, scene: Scene, suffix: str, tmp_path: Path
) -> None:
    data = world.data(LOOSE)
    for name, view in (
        ("picture", frame_view(data, scene, Choice.of(LOOSE))),
        ("figure", contact_sheet(data, *default_scene(data))),
    ):
        path = save(view, tmp_path / "new" / f"{name}.{suffix}", width_in=3.5)
        content = path.read_bytes()
        if suffix == "png":
            with Image.open(path) as image:
                assert image.width == round(3.5 * 300)
        elif suffix == "svg":
            width = re.search(rb'<svg[^>]* width="([\d.]+)pt"', content)
            assert width is not None
            assert float(width[1]) == pytest.approx(3.5 * 72)
        else:
            assert content.startswith(b"%PDF")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        f"figure.{suffix}", f"picture.{suffix}",
    ]  # fmt: skip
