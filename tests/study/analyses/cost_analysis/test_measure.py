"""The cost of a frame: counts that follow from the settings, a fit, and the work of a network."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.engines.batched.encoder import encode, model_input
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import BenchmarkFile
from sam2vss_lib.study.analyses.cost_analysis.measure import measure_cost
from sam2vss_lib.study.analyses.cost_analysis.measurement import (
    CostMeasurement,
    PartCost,
    time_frame,
    work_frame,
)
from sam2vss_lib.study.analyses.cost_analysis.results import (
    cost_reading,
    cost_values,
    figure_objects,
    figure_parts,
)

PARTS = ["decode", "encode", "propose", "track", "store", "refine", "metrics"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[CostMeasurement, Sam2Model, Any]:
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=7, clips=1, frames=3)})
    clip = open_dataset(root, "val").clips[0]
    model = load_sam2("demo")
    settings = MaskletSettings(window=8, points_per_side=3, pred_iou_thresh=0.3)
    base = np.zeros(clip.size, np.uint8)
    return measure_cost(clip, model, settings, base, 12, objects=(1, 2), frames=2), model, clip


def test_every_part_has_its_count_and_its_work(measured: Any) -> None:
    cost, model, clip = measured
    work = work_frame(cost).set_index("part")
    assert list(work.index) == PARTS
    assert work.loc["propose", "per_frame"] == 0.125
    assert work.loc["encode", "per_frame"] == 1.125  # an anchor is encoded in two resizings
    assert (work.loc[["decode", "store", "refine", "metrics"], "gflop"] == 0).all()
    with FlopCounterMode(display=False) as counter:
        encode(model, [model_input(clip.frame(0), 256, "video")])
    assert work.loc["encode", "gflop"] == pytest.approx(counter.get_total_flops() / 1e9, abs=1e-5)


def test_twice_the_objects_are_twice_the_work_of_tracking(measured: Any) -> None:
    cost, _, _ = measured
    assert work_frame(cost).set_index("part").loc["track", "gflop"] > 0
    assert cost.masklets >= 1
    assert cost.peak_memory_mib > 100
    assert len(cost.track_seconds) == len(cost.objects) == 2


def test_parts_are_measured_with_the_precision_and_approximations_that_are_set(
    measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model, clip = measured
    used: set[str] = set()
    autocast = Sam2Model.autocast

    def noted(self: Sam2Model, precision: str) -> Any:
        used.add(precision)
        return autocast(self, precision)

    monkeypatch.setattr(Sam2Model, "autocast", noted)
    settings = MaskletSettings(
        window=8, points_per_side=2, precision="bfloat16", share_anchor_encoding=True
    )
    base = np.zeros(clip.size, np.uint8)
    cost = measure_cost(clip, model, settings, base, 12, objects=(1,), frames=1)
    assert used == {"bfloat16"}
    assert work_frame(cost).set_index("part").loc["encode", "per_frame"] == 1


def made_up(track: tuple[float, ...] = (0.03, 0.05, 0.09)) -> CostMeasurement:
    parts = tuple(PartCost(part=name, per_frame=0.5, gflop=1, seconds=0.2) for name in PARTS)
    return CostMeasurement(
        parts=parts,
        objects=(1, 2, 4),
        track_seconds=track,
        peak_memory_mib=900,
        masklets=4,
        window=2,
    )


def test_the_fit_finds_a_straight_line() -> None:
    start, slope = made_up().fitted()
    assert (start, slope) == (pytest.approx(0.01), pytest.approx(0.02))


def test_shares_add_up_and_the_reading_names_the_numbers() -> None:
    assert sum(time_frame(made_up())["share"].tolist()) == pytest.approx(1)
    text = cost_reading(made_up())
    assert "A frame takes 700 ms, 1.4 frames a second" in text
    assert "10.0 ms a frame and 20.00 ms more for each object" in text
    assert "cannot be compared" in text


def test_result_holds_fit_and_paper_apart() -> None:
    study: Any = SimpleNamespace()
    values = cost_values(study, made_up(), BenchmarkFile(), "caption")
    assert values["tracking_fit"]["seconds_per_object"] == pytest.approx(0.02)
    assert values["paper_frames_per_second"] == [1.1, 3.5]
    assert [table["title"] for table in values["tables"]] == ["Work per frame", "Time per frame"]


def test_figures_are_drawn() -> None:
    assert len(figure_parts(made_up()).axes) == 1
    legend = figure_objects(made_up()).axes[0].get_legend()
    assert legend is not None
    assert "20.00 ms per object" in legend.get_texts()[0].get_text()
