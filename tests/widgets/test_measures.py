"""Metrics that follow frame by frame end where the stage that evaluates ends."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.study.stages.evaluation import count_predictions
from sam2vss_lib.widgets.measures import ClipMeasures, lives
from sam2vss_lib.widgets.stores import Choice
from tests.widgets.conftest import LOOSE, World, settings_at


def test_metrics_are_those_of_the_evaluated_refinement(world: World, tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, world.base.num_classes)
    refine(world.dataset, world.base, world.fresh[LOOSE], folder)
    expected = count_predictions(world.dataset, folder).compute(samples=1)
    data, (clip,) = world.data(LOOSE), world.dataset
    run = ClipMeasures(data, clip.name, "Coarse", Choice.of(LOOSE)).finish()
    assert run.metrics == expected.metrics
    base = ClipMeasures(data, clip.name, "Coarse", "Coarse").finish()
    assert base.metrics == count_predictions(world.dataset, world.base).compute(samples=1).metrics
    assert (base.changed == 0).all()
    for frame in range(clip.num_frames):
        alone = MetricSuite(world.base.num_classes)
        pair = folder.read(clip, frame), clip.ground_truth(frame)
        alone.update("one", *map(torch.from_numpy, pair))
        values = alone.compute(samples=1).metrics
        assert run.miou[frame] == pytest.approx(values["mIoU"], abs=1e-9)
        assert run.boundary[frame] == pytest.approx(values["mBIoU"], abs=1e-9)
        changed = np.mean(folder.read(clip, frame) != world.base.read(clip, frame))
        assert run.changed[frame] == pytest.approx(100 * changed)


def test_frames_are_counted_one_a_step(world: World) -> None:
    run = ClipMeasures(world.data(LOOSE), world.dataset.clips[0].name, "Coarse", Choice.of(LOOSE))
    run.step()
    assert (run.done, run.finished, run.metrics) == (1, False, {})
    assert np.isfinite(run.miou).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("iou", [0.2, 0.5, 1.0])
def test_births_and_deaths_equal_a_slow_reference(world: World, iou: float) -> None:
    data, choice = world.data(LOOSE), Choice.of(settings_at(iou, 0.2))
    (clip,) = world.dataset
    lived = lives(data, clip.name, choice)
    before: set[int] = set()
    for frame in range(clip.num_frames):
        rows = data.opened(clip.name, choice).stored.table.to_pylist()
        there = {
            row["masklet"]
            for row in rows
            if row["frame"] == frame and row["area"] and row["predicted_iou"] > np.float32(iou)
        }
        assert lived.present[frame] == len(there)
        assert lived.births[frame] == len(there - before)
        assert lived.deaths[frame] == len(before - there)
        before = there
