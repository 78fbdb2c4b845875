"""What a study will take: counts by slow counting, sums that add up, and limits that are met."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.clip_lengths import ClipLengths, clip_lengths
from sam2vss_lib.study.estimate.estimate import Estimate, estimate
from sam2vss_lib.study.estimate.notes import notes
from sam2vss_lib.study.estimate.text import limits_text, size_text, stages_text, time_text
from sam2vss_lib.study.estimate.unit_costs import UnitCosts
from sam2vss_lib.study.estimate.work_counts import encoded_frames, frames_in_windows, shared_counts
from sam2vss_lib.study.estimate.workload import Asked, Classifiers, Pooling, study_workload
from sam2vss_lib.study.run.planning import plan_study
from sam2vss_lib.study.run.runner import find_notebooks
from sam2vss_lib.study.settings import load_profile
from tests.study.estimate.plans import (
    DEFAULT,
    SETTINGS,
    made_up_asked,
    made_up_costs,
    made_up_work,
)

COSTS = made_up_costs()
PATTERNS = st.lists(st.integers(1, 90), min_size=1, max_size=6).map(tuple)
WINDOWS = st.lists(st.integers(1, 40), min_size=1, max_size=4)


@given(PATTERNS, st.integers(0, 30), st.integers(0, 30))
def test_lengths_of_clips_repeat(pattern: tuple[int, ...], clips: int, start: int):
    counted = Counter(pattern[i % len(pattern)] for i in range(start, clips))
    assert ClipLengths(pattern, clips, "").histogram(min(start, clips), clips) == counted


@given(st.integers(1, 90), WINDOWS)
def test_an_anchor_is_followed_as_far_as_its_longest_window(frames: int, windows: list[int]):
    followed = {
        (anchor, frame)
        for window in windows
        for anchor in range(0, frames, window)
        for frame in range(anchor, min(anchor + window, frames))
    }
    settings = [MaskletSettings(window=window) for window in windows]
    assert frames_in_windows(frames, settings) == len(followed)


@given(st.integers(1, 90), st.integers(1, 40), st.integers(1, 9))
def test_frames_encoded_for_features_are_every_nth_of_a_window(frames: int, window: int, n: int):
    taken = [i for i in range(frames) if i % window % n == 0]
    assert encoded_frames(frames, Pooling("e", MaskletSettings(window=window), n)) == len(taken)


def amounts(found: Estimate) -> dict[str, float]:
    """All sums of an estimate by name."""
    return {
        **{stage.stage: stage.shared for stage in found.stages},
        **{f"alone {stage.stage}": stage.alone for stage in found.stages},
        **{f"disk {store}": size for store, size in found.disk_bytes.items()},
        "traffic": found.traffic_bytes,
        "seconds": found.total_s,
        "tasks": found.num_tasks,
    }


@given(PATTERNS, st.integers(0, 20), st.integers(0, 20))
def test_work_is_additive(pattern: tuple[int, ...], first: int, more: int):
    clips = first + more
    parts = [
        Counter(amounts(estimate(made_up_work(pattern, clips, *ends), COSTS)))
        for ends in ((0, first), (first, clips))
    ]
    whole = amounts(estimate(made_up_work(pattern, clips), COSTS))
    for name, amount in whole.items():
        assert parts[0][name] + parts[1][name] == pytest.approx(amount)


@given(PATTERNS, st.integers(0, 30), st.integers(1, 2000))
def test_no_estimate_is_faster_than_its_workers_or_its_longest_task(
    pattern: tuple[int, ...], clips: int, workers: int
):
    found = estimate(made_up_work(pattern, clips, classifiers=(Classifiers(2, 100),)), COSTS)
    assert found.total_s == pytest.approx(sum(stage.seconds or 0 for stage in found.stages))
    scale = found.on(workers)
    assert scale.schedule_s >= max(found.total_s / workers, found.longest_s) * (1 - 1e-9)
    assert scale.schedule_s <= (found.total_s / workers + found.longest_s) * (1 + 1e-9)
    assert found.num_tasks == clips + 2


def test_no_clips_take_nothing():
    found = estimate(made_up_work((7,), 0), COSTS)
    assert (found.stages, found.tasks, found.disk_bytes, found.traffic_bytes) == ((), (), {}, 0)
    assert found.on(4).seconds == 0
    assert limits_text(found, found.limits()) == "nothing to compute"


def test_a_clip_by_hand():
    found = estimate(made_up_work((40,), 1), COSTS)
    counts = {stage.stage: stage.shared for stage in found.stages}
    # two windows, of 32 and of 8 frames, each with a grid of 16x16; five objects on a frame
    assert counts == {
        "decode": 40, "encode": 42, "propose": 512, "track frame": 40, "track object": 200,
        "store": 200, "segment S a": 40, "refine": 40, "evaluate": 80,
    }  # fmt: skip
    assert {stage.stage: stage.seconds for stage in found.stages} == {
        stage: pytest.approx(COSTS.time_s(stage, count)) for stage, count in counts.items()
    }
    sizes = COSTS.bytes
    written = 200 * sizes["masklet row"] + 80 * sizes["label map"] + 2 * sizes["metrics"]
    assert sum(found.disk_bytes.values()) == written
    # frames for masklets, their hash and the base system; both label maps twice for the metrics
    read = 40 * (3 * sizes["frame"] + 5 * sizes["masklet row"] + 2 * sizes["mask"])
    read += 40 * (1 + 2 * 2) * sizes["label map"]
    assert found.traffic_bytes == written + read


def test_notebooks_share_what_they_have_in_common(tmp_path: Path):
    systems = [{"method": "S", "backbone": b, "segmentor": f"s-{b}"} for b in "ab"]
    overrides = {"base_systems": systems, "sweep_values": [1, 32], "max_clips": 2}
    plans = plan_study(find_notebooks("01,04,08,10"), "demo", tmp_path, overrides)
    work = study_workload(plans, frames=10)
    assert work is not None
    found = {stage.stage: stage for stage in estimate(work, COSTS).stages}
    # 01 refines two systems by two votes; 04 one by one vote with two windows, one of them 01's
    assert (found["refine"].alone, found["refine"].shared) == ((4 + 2) * 20, 5 * 20)
    assert (found["evaluate"].alone, found["evaluate"].shared) == ((6 + 3) * 20, (6 + 1) * 20)
    assert (found["segment S a"].alone, found["segment S a"].shared) == (40, 20)
    assert found["segment S b"].alone == found["segment S b"].shared == 20
    # grids at one anchor of ten, and at all; alone also once more for the window of both
    assert (found["propose"].alone, found["propose"].shared) == (2 * 256 * 12, 2 * 256 * 10)
    assert (found["decode"].alone, found["decode"].shared) == (60, 20)


def test_clips_that_fewer_notebooks_use_get_less_work(tmp_path: Path):
    plans = plan_study(find_notebooks("01,04"), "demo", tmp_path, {})
    few = load_profile("demo", "04")["max_clips"]
    for clips in (2, few + 5, 1000):
        work = study_workload(plans, clips)
        assert work is not None
        ranges = [(one.start, one.stop, len(one.asked)) for one in work.clips]
        assert ranges == ([(0, 2, 2)] if clips == 2 else [(0, few, 2), (few, clips, 1)])
    assert study_workload(plan_study(find_notebooks("10"), "demo", tmp_path, {})) is None


def test_classified_masklets_are_painted_for_every_seed(tmp_path: Path):
    encoders = [
        {"method": "I-S", "backbone": "a", "encoder": "s@all", "base": "S a"},
        {"method": "I-N", "backbone": "a", "encoder": None, "base": "S a"},
    ]
    systems = [{"method": "S", "backbone": "a", "predictions": "p"}]
    overrides = {
        "encoders": encoders, "base_systems": systems, "classifier_seeds": [0, 1, 2],
        "max_clips": 1, "train_clips": 4, "train_frame_step": 8, "feature_frame_stride": 4,
    }  # fmt: skip
    work = study_workload(plan_study(find_notebooks("03"), "demo", tmp_path, overrides))
    assert work is not None
    assert work.classifiers == (Classifiers(3, 4 * 2),)  # 16 frames, every eighth
    found = {stage.stage: stage.shared for stage in estimate(work, COSTS).stages}
    assert found["paint"] == 40 * (3 + 1) * 2  # seeds and true classes, alone and filled
    assert found["evaluate"] == found["paint"] + 40
    assert found["features"] == 8 + 2 + 4 * 2  # windows of 32 and 8 frames; training frames
    assert "refine" not in found
    assert "segment S a" not in found


@pytest.mark.parametrize("rates", [(None, None), (3.0, 2.0)])
def test_more_workers_than_a_limit_do_not_help(rates: tuple[float | None, float | None]):
    found = estimate(made_up_work((40, 90, 5), 200), COSTS)
    for name, workers in found.limits(*rates).items():
        before, after = (found.on(max(1, int(workers * by)), *rates) for by in (0.5, 2))
        bound = before.bounds_s[name]
        assert before.bounds_s["workers"] > bound > after.bounds_s["workers"]
        assert after.seconds >= bound
    assert ("disk" in found.limits(*rates)) == ("driver" in found.limits(*rates)) == any(rates)


def test_the_slowest_resource_is_the_limit():
    found = estimate(made_up_work((40,), 200), COSTS)
    assert found.on(2).limit == "workers"
    assert found.on(10_000).limit == "longest task"
    mib = found.traffic_bytes / 2**20
    slow_disk = found.on(10_000, disk_mib_per_s=mib / 1e6)
    assert slow_disk.limit == "disk"
    assert slow_disk.seconds == pytest.approx(1e6)
    slow_driver = found.on(10_000, driver_tasks_per_s=200 / 1e6)
    assert (slow_driver.limit, slow_driver.seconds) == ("driver", pytest.approx(1e6))


def test_what_was_not_measured_is_said_and_not_made_up():
    costs = UnitCosts.model_validate(
        {
            **COSTS.model_dump(),
            "seconds": {k: v for k, v in COSTS.model_dump()["seconds"].items() if k != "refine"},
            "bytes": {},
        }
    )
    work = made_up_work((40,), 2)
    found = estimate(work, costs)
    refine = next(stage for stage in found.stages if stage.stage == "refine")
    assert (refine.seconds, refine.shared, refine.source) == (None, 80, "not measured")
    assert found.total_s < estimate(work, COSTS).total_s
    assert math.isnan(found.traffic_bytes)
    assert "disk" not in found.on(1, disk_mib_per_s=1).bounds_s
    assert "not measured" in stages_text(found)
    said = "\n".join(notes(work, costs, found))
    assert "not in the times, as no run has measured it: refine" in said
    assert "NOT what this study would use" in said  # no device is called "a CPU"


def test_objects_of_unmeasured_settings_are_said():
    other = MaskletSettings(window=8)
    asked = Asked(masklets=(DEFAULT, other))
    assert shared_counts([asked, made_up_asked()], 10, COSTS)["track object"] == 2 * 10 * 5
    work = made_up_work((10,), 1)
    work = replace(work, clips=(replace(work.clips[0], asked=(asked,)),))
    said = "\n".join(notes(work, COSTS, estimate(work, COSTS)))
    assert "objects of 1 settings, such as window 8, 16x16 points" in said
    assert "what settings share of their objects was not counted" in said


def test_memory_does_not_grow_with_the_clips(tmp_path: Path):
    plans = plan_study(find_notebooks("01,04"), "demo", tmp_path, {})

    def peak(clips: int) -> int:
        tracemalloc.start()
        work = study_workload(plans, clips)
        assert work is not None
        found = estimate(work, COSTS)
        assert found.num_tasks == clips
        found.on(64)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)  # whatever is made once
    assert abs(peak(10_000) - peak(10)) < 32 * 1024


def test_published_sizes_stand_in_for_a_data_set_that_is_not_there(tmp_path: Path):
    def lengths(dataset: str, split: str = "val") -> ClipLengths:
        return clip_lengths(SETTINGS.model_copy(update={"dataset": dataset}), split)

    vspw = lengths(str(tmp_path / "VSPW_480p"))
    assert sum(vspw.pattern) == 24_502
    assert (vspw.clips, {*vspw.pattern}) == (343, {71, 72})
    assert "is not there; published: 343 clips, 24,502 frames" in vspw.source
    vipseg = lengths(str(tmp_path / "VIPSeg"))
    assert sum(vipseg.pattern) == round(84_750 * 343 / 3536)
    assert "as the mean of all splits" in vipseg.source
    for dataset, split in ((str(tmp_path / "other"), "val"), ("VSPW", "nosuch"), ("demo", "test")):
        with pytest.raises(SettingsError, match=split):
            lengths(dataset, split)


def test_a_data_set_that_is_there_is_counted(tmp_path: Path):
    for clip, frames in (("a", 3), ("b", 2)):
        folder = tmp_path / "data" / clip / "origin"
        folder.mkdir(parents=True)
        for frame in range(frames):
            (folder / f"{frame:08d}.jpg").touch()
    (tmp_path / "val.txt").write_text("b\na\n")
    found = clip_lengths(SETTINGS.model_copy(update={"dataset": str(tmp_path)}), "val")
    assert (found.pattern, found.clips) == ((2, 3), 2)
    assert found.source.endswith("counted on disk")


def test_amounts_are_put_into_readable_units():
    times = (None, 0, 0.002, 1, 75, 7200, 864000)
    said = ["not measured", "0 s", "2 ms", "1 s", "1.25 min", "2 h", "10 d"]
    assert [time_text(one) for one in times] == said
    sizes = (0, 2048, 3 * 2**20, 1.5 * 2**30, 2**40, math.nan)
    said = ["0.0 KiB", "2.0 KiB", "3.0 MiB", "1.5 GiB", "1.0 TiB", "not measured"]
    assert [size_text(one) for one in sizes] == said
