"""Ground truth of some frames only: what is scored, against oracles, and what is said of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2vss_lib.metrics import MetricSuite
from tests.metrics.clips import Clips, evaluate, random_clips
from tests.metrics.test_oracles import check_against_oracles

SETTINGS = {"window_lengths": (2, 3, 8), "radii_px": (1, 2)}


def thinned(clips: Clips, kept: list[list[bool]]) -> Clips:
    """The same clips with the ground truth of some frames only."""
    return {
        name: (maps, [t if keep else None for t, keep in zip(truths, those, strict=True)])
        for (name, (maps, truths)), those in zip(clips.items(), kept, strict=True)
    }


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99),
    st.lists(st.lists(st.booleans(), min_size=1, max_size=10), min_size=1, max_size=3),
)
def test_any_frames_may_lack_ground_truth(seed: int, kept: list[list[bool]]) -> None:
    clips = random_clips(seed, tuple(map(len, kept)))
    check_against_oracles(thinned(clips, kept), 5, **SETTINGS)


def every(step: int, first: int, frames: int) -> list[bool]:
    return [i >= first and (i - first) % step == 0 for i in range(frames)]


@pytest.mark.parametrize(
    ("kept", "annotated"), [(every(5, 0, 30), 6), (every(30, 19, 30), 1)], ids=["5th", "20th"]
)
def test_no_window_is_annotated_throughout(kept: list[bool], annotated: int) -> None:
    whole = random_clips(3, (30,))
    result = evaluate(thinned(whole, [kept]), 5).compute(samples=1).to_dict()
    assert (result["frames"], result["annotated_frames"]) == (30, annotated)
    (row,) = result["per_clip"]
    assert (row["frames"], row["annotated_frames"]) == (30, annotated)
    assert None not in [result["metrics"][name] for name in ("mIoU", "FWIoU", "mBIoU")]
    for n in (8, 16):
        assert result["metrics"][f"mVC{n}"] is None
        assert result["notes"][f"mVC{n}"] == (
            f"windows of {n} frames need longer clips, the longest has 1 frames ({annotated} of 30 "
            "frames are annotated; a clip counts as long as its longest run of these)"
        )
    # the scored frames alone have the same values
    ((predictions, truths),) = whole.values()
    pairs = [(p, t) for p, t, keep in zip(predictions, truths, kept, strict=True) if keep]
    alone = evaluate({"clip": ([p for p, _ in pairs], [t for _, t in pairs])}, 5)
    for name in ("mIoU", "FWIoU", "mBIoU"):
        assert alone.compute(samples=1).metrics[name] == result["metrics"][name]


def test_windows_annotated_throughout_count_and_no_others() -> None:
    clips = random_clips(4, (30,))
    kept = [4 <= i < 14 for i in range(30)]  # 3 windows of 8, none of 16
    ((predictions, truths),) = clips.values()
    suite = evaluate(thinned(clips, [kept]), 5)
    assert int(suite.sums.total()["vc_code_windows_8"]) == 3
    result = suite.compute(samples=1)
    part = evaluate({"clip": (predictions[4:15], truths[4:15])}, 5).compute(samples=1)
    assert result.metrics["mVC8"] == part.metrics["mVC8"]  # its last window does not count
    assert result.metrics["mVC16"] is None
    assert "the longest has 10 frames" in result.notes["mVC16"]


def test_files_of_whole_and_of_sparse_ground_truth(tmp_path: Path) -> None:
    whole = random_clips(5, (9, 4))
    kept = [every(2, 0, 9), [True] * 4]
    for clips, keys in (
        (whole, set()),
        (thinned(whole, kept), {"annotated_frames", "longest_run"}),
    ):
        suite, path = evaluate(clips, 5), tmp_path / "sums.npz"
        suite.save(path)
        with np.load(path) as arrays:
            assert {"annotated_frames", "longest_run"} & {*arrays.files} == keys
        assert MetricSuite.load(path).compute(samples=9) == suite.compute(samples=9)
        text = json.dumps(suite.compute(samples=9).to_dict())
        assert ("annotated" in text) == bool(keys)


def test_shards_merge_to_the_same_result() -> None:
    clips = thinned(random_clips(6, (9, 9)), [[True] * 9, every(2, 1, 9)])
    first, second = (evaluate({name: pair}, 5) for name, pair in clips.items())
    second.merge(first)
    assert second.compute(samples=9) == evaluate(clips, 5).compute(samples=9)


def test_a_clip_without_any_scored_frame() -> None:
    suite = MetricSuite(3)
    suite.skip("a")
    result = suite.compute(samples=1)
    assert (result.frames, result.annotated_frames) == (1, 0)
    assert {*result.metrics.values()} == {None}
