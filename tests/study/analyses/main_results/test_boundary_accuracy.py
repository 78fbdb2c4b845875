"""Accuracy by distance to the boundary: counted once, paired over clips, drawn for every system."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.metrics.bootstrap import resampling_weights
from sam2vss_lib.metrics.boundary_distance import BIN_STARTS_PX
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.analyses.main_results.boundary_accuracy import (
    accuracy_by_distance,
    boundary_reading,
    figure_boundary,
)
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.settings import make_settings
from sam2vss_lib.study.stages.study import Evaluated, Study
from tests.metrics.test_boundary_distance import brute_bins

SAMPLES, SEED = 60, 3


def a_study(root: Path) -> Study:
    places = {"out_dir": str(root.parent / "out"), "stages_dir": str(root.parent / "stages")}
    settings = {
        "profile": "p", "dataset": str(root), "device": "cpu", "seed": SEED,
        "bootstrap_samples": SAMPLES, **places,
    }  # fmt: skip
    return Study(make_settings(settings))


def predicted(study: Study, name: str, error: float) -> PredictionFolder:
    """Ground truth with errors at a share of the pixels, unlabelled where void."""
    rng = np.random.default_rng(len(name))
    folder = PredictionFolder(study.root.parent / name, study.dataset.num_classes)
    for clip in study.dataset:
        for i in range(clip.num_frames):
            truth = clip.ground_truth(i)
            wrong = (rng.random(truth.shape) < error) & (truth != 255)
            folder.write(clip, i, np.where(wrong, (truth + 1) % 3, truth).astype(np.uint8))
    return folder


def a_row(name: str, folder: PredictionFolder, reference: str | None = None) -> Row:
    run = Evaluated(folder, {}, None)  # type: ignore[arg-type]
    over = (reference, "b") if reference else None
    return Row(method=name, backbone="b", status="run", reference=over, evaluated=run)


@pytest.fixture
def study(tiny_vspw: Path) -> Study:
    return a_study(tiny_vspw)


@pytest.fixture
def pairs(study: Study) -> list[tuple[Row, Row]]:
    base = a_row("X", predicted(study, "x", 0.4))
    refined = [
        a_row(name, predicted(study, name, error), "X")
        for name, error in (("SAM2-X", 0.2), ("SAM2-X (window vote)", 0.1))
    ]
    return [(base, row) for row in refined]


def brute(study: Study, base: Row, refined: Row) -> dict[int, dict[str, Any]]:
    """Pixel by pixel, and every resample of clips by itself; by bin."""
    per_clip: list[dict[int, list[tuple[bool, bool]]]] = []
    assert base.evaluated is not None
    assert refined.evaluated is not None
    for clip in study.dataset:
        found: dict[int, list[tuple[bool, bool]]] = {}
        for i in range(clip.num_frames):
            truth = clip.ground_truth(i)
            maps = [row.evaluated.predictions.read(clip, i) for row in (base, refined)]  # type: ignore[union-attr]
            for place, bin_ in np.ndenumerate(brute_bins(truth)):
                right = tuple(bool(labels[place] == truth[place]) for labels in maps)
                found.setdefault(int(bin_), []).append(right)  # type: ignore[arg-type]
        per_clip.append(found)
    result: dict[int, dict[str, Any]] = {}
    for bin_ in {b for found in per_clip for b in found} - {255}:
        every = np.array([pixel for found in per_clip for pixel in found.get(bin_, [])])
        gains: list[float] = []
        for weights in resampling_weights(len(per_clip), SAMPLES, SEED):
            drawn = [
                pixel
                for found, times in zip(per_clip, weights, strict=True)
                for pixel in found.get(bin_, []) * int(times)
            ]
            if drawn:
                gains.append(100 * float(np.diff(np.mean(drawn, axis=0))[0]))
        before, after = 100 * every.mean(axis=0)
        low, high = np.percentile(gains, [2.5, 97.5])
        result[bin_] = {"base": before, "refined": after, "low": low, "high": high}
    return result


def test_every_bin_is_what_counting_pixel_by_pixel_gives(
    study: Study, pairs: list[tuple[Row, Row]]
):
    frame = accuracy_by_distance(study, pairs)
    lines = frame.to_dict("records")
    assert sum(line["share"] for line in lines) == pytest.approx(2)  # two refined rows
    for base, refined in pairs:
        found = {x["distance_px"]: x for x in lines if x["system"] == refined.label}
        expected = brute(study, base, refined)
        assert list(found) == [BIN_STARTS_PX[bin_] for bin_ in sorted(expected)]
        for bin_, values in expected.items():
            line = found[BIN_STARTS_PX[bin_]]
            for name, value in values.items():
                assert line[name] == pytest.approx(value), (refined.label, bin_, name)
            assert line["gain"] == pytest.approx(line["refined"] - line["base"])


def test_second_time_nothing_is_counted(
    study: Study, pairs: list[tuple[Row, Row]], tiny_vspw: Path
):
    first = accuracy_by_distance(study, pairs)
    again = a_study(tiny_vspw)
    pd.testing.assert_frame_equal(first, accuracy_by_distance(again, pairs))
    assert [(run.stage, run.reused) for run in study.log + again.log] == [
        ("boundary accuracy", 0),
        ("boundary accuracy", 2),
    ]


def test_other_predictions_are_counted_anew(study: Study, pairs: list[tuple[Row, Row]]):
    first = accuracy_by_distance(study, pairs)
    predicted(study, "SAM2-X", 0.0)
    second = accuracy_by_distance(study, pairs)
    perfect = [x["refined"] for x in second.to_dict("records") if x["system"] == "SAM2-X b"]
    assert set(perfect) == {100}
    assert max(first["refined"]) < 100


def test_nothing_run_is_nothing_counted(study: Study):
    frame = accuracy_by_distance(study, [])
    assert frame.empty
    assert not study.log
    assert "no base system" in figure_boundary(frame).texts[0].get_text()


def test_figure_has_a_panel_a_base_system_and_a_line_a_row(
    study: Study, pairs: list[tuple[Row, Row]]
):
    frame = accuracy_by_distance(study, pairs)
    axes = figure_boundary(frame).axes
    assert [axis.get_title() for axis in axes] == ["X b"]
    labels = axes[0].get_legend_handles_labels()[1]
    assert labels == ["base system", "refined", "refined (window vote)"]
    drawn = {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes[0].lines}
    window = frame[frame["system"] == "SAM2-X (window vote) b"]
    assert np.array_equal(drawn["refined (window vote)"], window["refined"])
    assert np.array_equal(drawn["base system"], window["base"])


def test_six_systems_share_axes_and_no_empty_panel_is_shown(
    study: Study, pairs: list[tuple[Row, Row]]
):
    one = accuracy_by_distance(study, pairs)
    every = pd.concat([one.assign(base_system=f"X{i}") for i in range(6)])
    axes = figure_boundary(every).axes
    assert [axis.get_title() for axis in axes if axis.axison] == [f"X{i}" for i in range(6)]
    assert len({axis.get_ylim() for axis in axes if axis.axison}) == 1


def test_reading_names_the_change_on_boundaries_and_far_from_them(
    study: Study, pairs: list[tuple[Row, Row]]
):
    frame = accuracy_by_distance(study, pairs)
    one = frame.query("system == 'SAM2-X b'")
    (near, *_, far) = one.to_dict("records")
    assert boundary_reading(one) == (
        f"Accuracy on boundaries changes by {near['gain']:+.1f} points, and from "
        f"{far['distance_px']} pixels on by {far['gain']:+.1f} (1 refined rows)."
    )
    gains = frame.loc[frame["distance_px"] == 0, "gain"]
    assert f"by {gains.min():+.1f} to {gains.max():+.1f} points" in boundary_reading(frame)
