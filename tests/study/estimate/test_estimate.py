"""What a study will take: counts by slow counting and by hand, and limits that are met."""

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.estimate import Estimate, clip_counts, estimate
from sam2vss_lib.study.estimate.unit_costs import UnitCosts
from sam2vss_lib.study.estimate.workload import ClipWork, Piece, study_workload
from sam2vss_lib.study.run.planning import plan_study
from sam2vss_lib.study.run.runner import find_notebooks
from tests.study.estimate.plans import ASKED, DEFAULT, STAGES, made_up_costs, made_up_work

COSTS = made_up_costs()
#: seconds of a stage that `made_up_costs` give it
SECONDS = {stage: 0.001 * (place + 1) for place, stage in enumerate(STAGES)}
#: by hand: two windows, of 32 and 8 frames, a grid of 16x16 in each, five objects on a frame
CLIP_OF_40 = {
    "decode": 40, "encode": 42, "propose": 512, "track frame": 40, "track object": 200,
    "store": 40, "segment: S a": 40, "refine": 40, "evaluate": 80,
}  # fmt: skip


def masklets(*settings: MaskletSettings) -> list[Piece]:
    return [Piece("masklets", (one,)) for one in settings]


@given(st.integers(1, 90), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_masklets_are_counted_as_the_engine_goes_over_a_clip(frames: int, windows: list[int]):
    anchors = [[at for at in range(frames) if at % window == 0] for window in windows]
    reached = {
        at: max(w for w, starts in zip(windows, anchors, strict=True) if at in starts)
        for at in {at for starts in anchors for at in starts}
    }
    found = clip_counts(masklets(*(MaskletSettings(window=w) for w in windows)), frames, COSTS)
    assert found["decode"] == frames
    assert found["encode"] == frames + len(reached)
    assert found["propose"] == 256 * len(reached)
    assert found["track frame"] == sum(min(w, frames - at) for at, w in reached.items())
    assert found["track object"] == 5 * frames * len({*windows})
    assert found["store"] == frames * len({*windows})


def test_thresholds_follow_the_same_objects_and_grids_their_own():
    same = [MaskletSettings(pred_iou_thresh=iou) for iou in (0.5, 0.6, 0.7)]
    finer = MaskletSettings(points_per_side=32)
    found = clip_counts(masklets(*same, finer), 10, COSTS)
    assert (found["decode"], found["track object"], found["store"]) == (10, 2 * 50, 4 * 10)
    # of another precision nothing is shared
    other = MaskletSettings(precision="bfloat16")
    assert clip_counts(masklets(DEFAULT, other), 10, COSTS)["decode"] == 20


def test_planned_work_is_what_the_engine_does(tmp_path: Path):
    frames = 18
    sweep = [
        MaskletSettings(window=w, points_per_side=side, pred_iou_thresh=iou)
        for w, side, iou in ((4, 4, 0.3), (18, 4, 0.6), (18, 4, 0.3), (18, 3, 0.3))
    ]
    write_demo(tmp_path, {"val": DemoSplit(first_seed=7, clips=1, frames=frames)})
    outs = {one: tmp_path / "stages" / str(place) for place, one in enumerate(sweep)}
    dataset, model = open_dataset(tmp_path, "val"), load_sam2("demo")
    done = generate_shared(dataset, model, outs).work
    planned = clip_counts(masklets(*sweep), frames, COSTS)
    assert planned["encode"] == done.image_encodings
    assert planned["propose"] == done.prompts
    # the objects of every window and grid, with the loosest of its thresholds; the mean is planned
    alone = [
        generate_shared(dataset, model, {one: tmp_path / "alone" / str(place)}).work.object_frames
        for place, one in enumerate((sweep[0], sweep[2], sweep[3]))
    ]
    costs = COSTS.model_copy(update={"objects": sum(alone) / 3 / frames})
    planned = clip_counts(masklets(*sweep), frames, costs)
    assert planned["track object"] == pytest.approx(done.object_frames)


def test_a_clip_by_hand():
    found = estimate(made_up_work(40), COSTS)
    assert found.stages["shared"].to_dict() == CLIP_OF_40
    assert found.stages["alone"].to_dict() == CLIP_OF_40
    hours = {stage: count * SECONDS[stage] / 3600 for stage, count in CLIP_OF_40.items()}
    assert found.stages["hours"].to_dict() == pytest.approx(hours)
    assert found.longest_task_hours == pytest.approx(sum(hours.values()))
    # in MiB: a frame 1, a label map 10, the masklets of a frame 100; ground truth as a label map
    read = {"decode": 40, "segment: S a": 40, "refine": 40 * 110, "evaluate": 80 * 20}
    written = {"store": 4000, "segment: S a": 400, "refine": 400}
    for column, expected in (("read_gib", read), ("disk_gib", written)):
        mib = (found.stages[column] * 1024).to_dict()
        assert mib == pytest.approx({stage: expected.get(stage, 0) for stage in mib})
    units = found.stages["unit"]
    assert (units["track object"], units["encode"]) == ("object-frames", "images")


def test_every_nth_frame_is_encoded_for_features():
    pieces = [Piece("features", ("e",), 4), Piece("features", ("f",)), Piece("features", ("f",))]
    assert clip_counts(pieces, 10, COSTS) == {"features": 3 + 10}


@given(st.lists(st.integers(1, 90), max_size=6), st.lists(st.integers(1, 90), max_size=6))
def test_work_is_additive(first: list[int], more: list[int]):
    def sums(lengths: list[int]) -> pd.Series:
        found = estimate(made_up_work(*lengths), COSTS)
        return found.stages.drop(columns="unit").sum()

    both = sums(first).add(sums(more), fill_value=0)
    assert sums([*first, *more]).to_dict() == pytest.approx(both.to_dict())


def test_notebooks_share_what_they_have_in_common(tmp_path: Path):
    systems = [{"method": "S", "backbone": b, "segmentor": f"s-{b}"} for b in "ab"]
    overrides = {"base_systems": systems, "sweep_values": [1, 32], "max_clips": 2}
    plans = plan_study(find_notebooks("01,04,08,10"), "demo", tmp_path, overrides)
    stages = estimate(study_workload(plans, None, 10), COSTS).stages
    found = {stage: (stages["alone"][stage], stages["shared"][stage]) for stage in stages.index}
    # 01 refines two systems by two votes; 04 one by one vote with two windows, one of them 01's
    assert found["refine"] == ((4 + 2) * 20, 5 * 20)
    assert found["evaluate"] == ((6 + 3) * 20, (6 + 1) * 20)
    assert found["segment: S a"] == (40, 20)
    assert found["segment: S b"] == (20, 20)
    # grids at one anchor of ten, and at all; alone also once more for the window of both
    assert found["propose"] == (2 * 256 * 12, 2 * 256 * 10)
    assert found["decode"] == (60, 20)


def resources(found: Estimate) -> tuple[float, float]:
    """Hours on one worker, and MiB read and written."""
    sums = found.stages[["hours", "read_gib", "disk_gib"]].sum().to_dict()
    return sums["hours"], (sums["read_gib"] + sums["disk_gib"]) * 1024


def one_by_one(hours: list[float], workers: int) -> float:
    """Every task goes to the worker with the least to do so far."""
    loads = [0.0] * workers
    for one in hours:
        place = min(range(workers), key=loads.__getitem__)
        loads[place] += one
    return max(loads)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=12), st.integers(1, 9))
def test_handing_out_clips_takes_what_the_bounds_say(lengths: list[int], workers: int):
    found = estimate(made_up_work(*lengths), COSTS)
    tasks = [estimate(made_up_work(frames), COSTS).longest_task_hours for frames in lengths]
    (line,) = found.on([workers], None, None).reset_index().to_dict("records")
    assert line["workers"] == workers
    assert line["hours"] == pytest.approx(max(sum(tasks) / workers, max(tasks)))
    taken, slack = one_by_one(tasks, workers), 1 + 1e-9
    assert line["hours"] <= taken * slack
    assert taken <= line["at_most_hours"] * slack
    assert found.tasks == len(lengths)


def test_the_slowest_resource_is_the_limit():
    found = estimate(made_up_work(40, times=200), COSTS)
    hours, mib = resources(found)
    plain = found.on([1, 2, 10_000], None, None)
    assert [*plain["limit"]] == ["workers", "workers", "longest task"]
    assert [*plain["hours"]] == pytest.approx([hours, hours / 2, hours / 200])
    for rates, limit in (((mib / 3.6e6, None), "disk"), ((None, 200 / 3.6e6), "driver")):
        slow = found.on([10_000], *rates)
        assert slow["limit"].item() == limit
        assert slow["hours"].item() == slow["at_most_hours"].item() == pytest.approx(1000)
        assert found.on([1], 1e9, 1e9)["limit"].item() == "workers"


def test_what_was_not_measured_is_not_made_up():
    costs = made_up_costs(unmeasured=("refine", "label map"))
    found, whole = (estimate(made_up_work(40, 40), one) for one in (costs, COSTS))
    refine = found.stages.to_dict("index")["refine"]
    assert (refine["shared"], refine["alone"]) == (80, 80)
    assert all(math.isnan(refine[name]) for name in ("hours", "read_gib", "disk_gib"))
    stored = 2 * 40 * 100 / 1024  # masklets
    assert found.stages[["disk_gib"]].sum().to_dict() == pytest.approx({"disk_gib": stored})
    missing = 80 * SECONDS["refine"] / 3600
    assert resources(found)[0] == pytest.approx(resources(whole)[0] - missing)
    assert found.longest_task_hours == pytest.approx(whole.longest_task_hours - missing / 2)


def test_a_million_clips_are_counted_as_fast_as_one():
    work = made_up_work(40, times=10**6)
    found = estimate(work, COSTS)
    assert found.tasks == 10**6
    million = {stage: count * 10**6 for stage, count in CLIP_OF_40.items()}
    assert found.stages["shared"].to_dict() == million
    assert found.longest_task_hours == estimate(made_up_work(40), COSTS).longest_task_hours


def test_a_piece_of_two_notebooks_counts_once():
    work = [ClipWork({40: 1}, "made up", (ASKED, ASKED))]
    stages = estimate(work, COSTS).stages
    assert stages["shared"].to_dict() == CLIP_OF_40
    assert (stages["alone"] / 2).to_dict() == CLIP_OF_40


def test_costs_of_no_work_are_none():
    costs = UnitCosts(measured=(), seconds={}, bytes={}, objects=0)
    found = estimate([], costs)
    assert (found.tasks, found.longest_task_hours, len(found.stages)) == (0, 0, 0)
