"""Sliders over a sweep: pictures and curve are what the stores and rows of that value say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.settings import make_settings
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.study import Evaluated
from sam2vss_lib.views.palette import BETTER, WORSE, rgb
from sam2vss_lib.widgets.analyses.sweep import Sweep, contact_sheet, explore_sweep, render
from tests.masklets.common import write_masklets

VALUES = (0.4, 0.6)


def a_row(study: Study, name: str, mious: tuple[float, float], labels: Any) -> Row:
    """Predictions of one label map for all frames, with an mIoU for each of the two clips."""
    folder = PredictionFolder(study.root.parent / name, study.dataset.num_classes)
    for clip in study.dataset:
        for i in range(clip.num_frames):
            folder.write(clip, i, labels)
    names = [clip.name for clip in study.dataset]
    per_clip = [{"clip": n, "mIoU": miou} for n, miou in zip(names, mious, strict=True)]
    metrics = {"per_clip": per_clip}
    ours: dict[str, float | None] = {"mIoU": sum(mious) / 2, "mBIoU": mious[0]}
    run = Evaluated(folder, metrics, None)  # type: ignore[arg-type]
    return Row(method=name, status="run", ours=ours, evaluated=run)


@pytest.fixture
def study(tiny_vspw: Path) -> Study:
    places = {"out_dir": str(tiny_vspw.parent / "out"), "stages_dir": str(tiny_vspw.parent / "st")}
    settings = {
        "profile": "p", "dataset": str(tiny_vspw), "device": "cpu", **places,
        "base_systems": [{"method": "X", "backbone": "b", "predictions": "x"}],
        "sweep": "pred_iou_thresh", "sweep_values": VALUES,
    }  # fmt: skip
    study = Study(make_settings(settings))
    stores = {}
    for value, of in study.settings.masklet_sweep().items():
        stores[of] = tiny_vspw.parent / f"masklets-{value}"
        for clip in study.dataset:
            masks = np.zeros((5, 3, *clip.size), np.bool_)
            masks[:, 0, :12, :16] = True  # a quarter of the frame
            masks[:, 1, 12:, 16:] = value < 0.5  # another one; the third is empty
            scores = np.zeros((2, 3), np.float32)
            write_masklets(MaskletStore(stores[of]), clip.name, [masks], [scores])
    study.masklet_folders = lambda settings, dataset: stores  # type: ignore[method-assign]
    return study


@pytest.fixture
def rows(study: Study) -> list[Row]:
    sky, road = (np.full(study.dataset.clips[0].size, label, np.uint8) for label in (0, 1))
    return [
        a_row(study, "not refined", (50, 50), sky),
        a_row(study, "0.4", (52, 50), road),
        a_row(study, "0.6", (52, 56), sky),
        Row(method="0.9", status="not run: why"),
    ]


def the_sweep(study: Study, rows: list[Row]) -> Sweep:
    sweep = Sweep.of(study, rows)
    assert sweep is not None
    return sweep


def test_a_frame_has_the_masklets_of_its_value(study: Study, rows: list[Row]):
    sweep = the_sweep(study, rows)
    assert [*sweep.rows] == ["0.4", "0.6"]
    both, one = (sweep.shown(value, "first", 2) for value in sweep.rows)
    assert (both.masklets_shown, both.covered) == (2, 0.5)
    assert (one.masklets_shown, one.covered) == (1, 0.25)
    differs = (both.masklets != one.masklets).any(-1)
    assert differs[13:, 17:].all()
    assert not differs[:12].any()


def test_changes_are_those_of_its_labels(study: Study, rows: list[Row]):
    sweep = the_sweep(study, rows)
    shown = sweep.shown("0.4", "first", 2).changes  # sky everywhere has become road
    truth = study.dataset.clip("first").ground_truth(2)
    assert (shown[truth == 1] == rgb(BETTER)).all()
    assert (shown[truth == 0] == rgb(WORSE)).all()
    same = sweep.shown("0.6", "first", 2).changes
    assert not (same[truth == 1] == rgb(BETTER)).all(-1).any()


def test_it_starts_where_the_setting_matters_most(study: Study, rows: list[Row]):
    assert the_sweep(study, rows).start() == ("second", 2)


def test_the_curve_is_that_of_the_rows_with_a_ring_at_the_value(study: Study, rows: list[Row]):
    curve = render(the_sweep(study, rows), "0.6", "first", 0, "mIoU").axes[2]
    refined, before, ring = (np.array(line.get_xydata()).tolist() for line in curve.lines)
    assert refined == [[0, 51], [1, 54]]
    assert [y for _, y in before] == [50, 50]
    assert ring == [[1, 54]]
    assert [text.get_text() for text in curve.texts] == ["+1.0", "+4.0"]


def test_all_values_are_side_by_side_where_nobody_moves_a_slider(study: Study, rows: list[Row]):
    figure = explore_sweep(study, rows, live=False)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["0.4: 2, 50%", "", "0.6: 1, 25%", "", ""]
    assert "second, frame index 2" in figure.get_suptitle()
    assert len(contact_sheet(the_sweep(study, rows), "first", 0).axes) == 5


def test_moving_a_slider_draws_that_value(study: Study, rows: list[Row]):
    widget = explore_sweep(study, rows, live=True)
    controls, picture = widget.children
    value, clip, frame, metric = controls.children
    assert [control.description for control in controls.children] == [
        "Predicted IoU above", "Clip", "Frame", "Metric",
    ]  # fmt: skip
    assert (value.value, clip.value, frame.value, metric.value) == ("0.6", "second", 2, "mBIoU")
    seen = [bytes(picture.value)]
    for control, to in ((value, "0.4"), (clip, "first"), (frame, 4), (metric, "mIoU")):
        control.value = to
        seen.append(bytes(picture.value))
    assert len({*seen}) == len(seen)
    assert all(image.startswith(b"\x89PNG") for image in seen)


def test_without_a_run_it_says_so(study: Study):
    figure = explore_sweep(study, [Row(method="0.4", status="not run: why")])
    assert "no base system" in figure.texts[0].get_text()
