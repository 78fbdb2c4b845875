"""The explorer in JupyterLab: by mouse and by keys, what is seen is what the library computes."""

import json
import math
import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.refinement.settings import Vote
from sam2vss_lib.study.settings import QuickStartSettings
from sam2vss_lib.views.layers import colour_labels
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.measures import ClipMeasures
from sam2vss_lib.widgets.notebook import explorer_data
from sam2vss_lib.widgets.pixels import pixel_facts
from sam2vss_lib.widgets.quick_start import quick_study
from sam2vss_lib.widgets.stores import Choice
from sam2vss_lib.widgets.wording import class_name
from tests.widgets.lab import ROOT, browser_page, errors_of, jupyterlab, run_all

FRAMES = 8
ARTEFACTS = "SAM2VSS_SCREENSHOTS"  # folder for pictures of the page, where it is set
pytestmark = pytest.mark.timeout(600)


@dataclass
class Lab:
    """A notebook that was run, and the same data without a browser."""

    page: Page
    data: ExplorerData
    errors: list[Any]

    @property
    def root(self) -> Locator:
        return self.page.locator(".sam2vss")

    @property
    def canvas(self) -> Locator:
        return self.root.locator(".stage canvas")

    def named(self, name: str) -> Locator:
        return self.root.get_by_label(name, exact=True)

    def threshold(self, name: str) -> Locator:
        return self.page.locator(".widget-slider", has_text=name)

    def frame(self) -> int:
        return int(self.root.locator(".counter").inner_text().split("/")[0]) - 1

    def choice(self, vote: Vote = "frame") -> Choice:
        own = self.data.stores_of(self.data.clips[0]).settings[0]
        values = [
            float(self.threshold(name).locator(".widget-readout").inner_text())
            for name in ("Predicted IoU >", "Stability from")
        ]
        return Choice(own.window, own.points_per_side, values[0], values[1], vote)

    def scene(self) -> Scene:
        return Scene(self.data.clips[0], next(iter(self.data.bases)), self.frame())

    def settled(self) -> None:
        """Wait until the picture is that of the frame and all metrics are counted."""
        self.page.wait_for_timeout(700)
        frame = str(self.frame())
        expect(self.root).to_have_attribute("data-frame", frame, timeout=60_000)
        expect(self.page.locator(".sam2vss-metrics tbody tr")).not_to_have_count(0, timeout=60_000)
        expect(self.root.locator(".status")).to_have_text("", timeout=120_000)

    def colours(self, pixels: list[tuple[int, int]]) -> np.ndarray:
        """What the canvas shows in the middle of these pixels, (n, 3)."""
        height, width = self.data.clip(self.data.clips[0]).size
        script = """(canvas, [pixels, width, height]) => pixels.map(([x, y]) => [
            ...canvas.getContext('2d').getImageData(
                Math.floor((x + 0.5) * canvas.width / width),
                Math.floor((y + 0.5) * canvas.height / height), 1, 1).data].slice(0, 3))"""
        return np.array(self.canvas.evaluate(script, [pixels, width, height]))

    def expect_labels(self, shown: Choice | str, pixels: list[tuple[int, int]]) -> None:
        """Compare the canvas with labels, where the layer `Refined` is all that is seen."""
        labels = self.data.labels(self.scene(), shown)
        expected = colour_labels(labels, self.data.num_classes)
        wanted = np.array([expected[y, x] for x, y in pixels])
        assert np.array_equal(self.colours(pixels), wanted)

    def expect_metrics(self, choice: Choice) -> None:
        """Compare the table with what the suite counts."""
        scene = self.scene()
        rows = self.page.locator(".sam2vss-metrics tbody tr")
        for row, shown in ((0, scene.base), (1, choice)):
            run = ClipMeasures(self.data, scene.clip, scene.base, shown).finish()
            cells = rows.nth(row).locator("td").all_inner_texts()[1:]
            assert cells == ["–" if v is None else f"{v:.2f}" for v in run.metrics.values()]

    def at(self, element: Locator, across: float, down: float = 0.5) -> tuple[float, float]:
        """Where a place of an element, by its shares of the sides, is on the screen."""
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        assert box is not None
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def shot(self, name: str) -> None:
        if folder := os.environ.get(ARTEFACTS):
            explorer = self.page.locator(".jp-OutputArea-output", has=self.root)
            explorer.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="module")
def quick_start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExplorerData]:
    """A copy of notebook 00 for a short clip, and what its explorer reads, computed here."""
    folder = tmp_path_factory.mktemp("lab")
    world = folder / "world"
    world.mkdir()
    write_demo(world, {"val": DemoSplit(first_seed=3, clips=1, frames=FRAMES)})
    given: dict[str, Any] = {
        "profile": "demo",
        "source": str(world),
        "out_dir": str(folder / "out"),
        "stages_dir": str(folder / "stages"),
    }
    notebook = json.loads((ROOT / "notebooks" / "00_quick_start.ipynb").read_text("utf-8"))
    (cell,) = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    cell["source"] = "".join(cell["source"]) + "".join(f"\n{k} = {v!r}" for k, v in given.items())
    (folder / "start.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    study = quick_study(QuickStartSettings(**given))
    return folder, explorer_data(study, study.rows())


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def lab(quick_start: tuple[Path, ExplorerData], request: pytest.FixtureRequest) -> Generator[Lab]:
    folder, data = quick_start
    with browser_page() as page, jupyterlab(folder, dark=request.param) as address:
        errors = errors_of(page)
        run_all(page, address, "start.ipynb")
        page.wait_for_selector(".sam2vss[data-frame]", timeout=240_000)
        found = Lab(page, data, errors)
        page.locator(".sam2vss").scroll_into_view_if_needed()
        found.settled()
        name = "dark" if request.param else "light"
        for width in (1920, 1280):
            page.set_viewport_size({"width": width, "height": 1100})
            page.wait_for_timeout(500)
            found.shot(f"explorer_{width}_{name}")
        yield found


def some_pixels(data: ExplorerData) -> list[tuple[int, int]]:
    height, width = data.clip(data.clips[0]).size
    rng = np.random.default_rng(0)
    return [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(200)]


def test_by_mouse(lab: Lab) -> None:
    page, data, pixels = lab.page, lab.data, some_pixels(lab.data)
    # layers: only the refined labels, opaque
    page.mouse.click(*lab.at(lab.named("Refined: opacity"), 0.999))
    page.mouse.click(*lab.at(lab.named("Changed pixels: opacity"), 0.001))
    lab.settled()
    lab.expect_labels(lab.choice(), pixels)
    lab.expect_metrics(lab.choice())

    # drag a threshold
    before = lab.choice()
    x, y = lab.at(lab.threshold("Predicted IoU >").locator(".noUi-handle"), 0.5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 50, y, steps=10)
    page.mouse.up()
    lab.settled()
    choice = lab.choice()
    assert choice.pred_iou_thresh > before.pred_iou_thresh
    lab.expect_labels(choice, pixels)
    lab.expect_metrics(choice)
    expect(page.get_by_text("Equals a run of SAM2")).to_be_visible()

    # click a pixel
    height, width = data.clip(data.clips[0]).size
    x, y = width // 3, height // 2
    page.mouse.click(*lab.at(lab.canvas, (x + 0.5) / width, (y + 0.5) / height))
    expect_pixel(lab, x, y)

    # swipe: right of the middle is the base prediction
    page.mouse.click(*lab.at(lab.named("Swipe"), 0.5))
    lab.settled()
    share = float(lab.named("Swipe").input_value())
    assert 0.4 < share < 0.6
    away = [p for p in pixels if abs(p[0] - share * width) > 4 and math.dist(p, (x, y)) > 10]
    lab.expect_labels(choice, [p for p in away if p[0] < share * width])
    lab.expect_labels(lab.scene().base, [p for p in away if p[0] > share * width])
    lab.shot("swipe")

    # play, and pause
    lab.named("Play").click()
    expect(lab.root).to_have_attribute("data-frame", str(FRAMES - 1), timeout=30_000)
    lab.named("Pause").click()
    lab.settled()

    # the timeline
    page.mouse.click(*lab.at(lab.root.locator(".timeline"), 1.5 / FRAMES))
    expect(lab.root).to_have_attribute("data-frame", "1", timeout=30_000)
    assert lab.errors == []


def expect_pixel(lab: Lab, x: int, y: int) -> None:
    """Compare what is told of a pixel with what the library finds."""
    info = lab.root.locator(".info")
    expect(info).to_contain_text(f"Pixel ({x}, {y})", timeout=30_000)
    facts = pixel_facts(lab.data, lab.scene(), lab.choice(), (x, y))
    rows = info.locator("tbody tr")
    assert rows.count() == len(facts.candidates)
    for row, candidate in zip(rows.all(), facts.candidates, strict=True):
        cells = row.locator("td").all_inner_texts()
        assert re.match(r"\d+", cells[0])[0] == str(candidate.masklet)  # pyright: ignore
        assert cells[1] == class_name(lab.data, candidate.label)
        label, number = next(iter(candidate.votes.items()))
        assert cells[3].startswith(f"{class_name(lab.data, label)} {number}")
        label, number = next(iter(candidate.window_votes.items()))
        assert cells[4].startswith(f"{class_name(lab.data, label)} {number}")
    assert info.locator(".strip").first.locator("i").count() == len(facts.history)


def test_by_keyboard_alone(lab: Lab) -> None:
    page, data, pixels = lab.page, lab.data, some_pixels(lab.data)

    def focus(name: str) -> None:
        """Reach a control by the tab key."""
        lab.page.locator(".widget-dropdown select").first.focus()
        for _ in range(60):
            if page.evaluate("document.activeElement.getAttribute('aria-label')") == name:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{name} is not reached")

    focus("Refined: opacity")
    page.keyboard.press("End")
    focus("Changed pixels: opacity")
    page.keyboard.press("Home")
    focus("Swipe")
    page.keyboard.press("End")
    focus("Predicted IoU >")
    before = lab.choice()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    lab.settled()
    assert lab.choice().pred_iou_thresh == pytest.approx(before.pred_iou_thresh + 0.03)
    height, width = data.clip(data.clips[0]).size
    pixels = [p for p in pixels if math.dist(p, (width // 3, height // 2)) > 10]  # it is marked
    lab.expect_labels(lab.choice(), pixels)
    lab.expect_metrics(lab.choice())

    label = lab.canvas.get_attribute("aria-label")
    assert label is not None
    focus(label)
    lab.shot("keyboard_focus")
    start = lab.frame()
    page.keyboard.press("ArrowLeft" if start else "ArrowRight")
    expect(lab.root).to_have_attribute("data-frame", str(abs(start - 1)), timeout=30_000)
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    lab.settled()
    found = re.search(r"Pixel \((\d+), (\d+)\)", lab.root.locator(".info").inner_text())
    assert found is not None
    expect_pixel(lab, int(found[1]), int(found[2]))
    page.keyboard.press("+")
    page.keyboard.press("0")
    for _ in range(10):
        page.keyboard.press("[")
    lab.settled()
    pixels = [p for p in pixels if math.dist(p, (int(found[1]), int(found[2]))) > 10]
    lab.expect_labels(lab.scene().base, [p for p in pixels if p[0] > width / 2 + 4])
    page.keyboard.press(" ")
    expect(lab.root).to_have_attribute("data-frame", str(FRAMES - 1), timeout=30_000)
    page.keyboard.press(" ")
    expect(lab.named("Play")).to_be_visible()
    assert lab.errors == []


def test_every_control_has_a_name(lab: Lab) -> None:
    unnamed = lab.page.evaluate("""() => {
        const all = [...document.querySelectorAll('.jp-OutputArea-output :is(input, select, '
            + 'button, [role=slider], [role=application], [role=region], .noUi-handle)')];
        const name = (e) => e.getAttribute('aria-label') || e.title || e.textContent.trim()
            || [...(e.labels ?? [])].map((l) => l.textContent.trim()).join('');
        return all.filter((e) => e.offsetParent !== null && !name(e)).map((e) => e.outerHTML);
    }""")
    assert unnamed == []
