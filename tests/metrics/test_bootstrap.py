"""The bootstrap against explicit resampling of whole clips, and the pairing of gains."""

import numpy as np
import pytest

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.metrics import (
    ClipSums,
    Gain,
    MetricsResult,
    confidence_interval,
    paired_gain,
)
from sam2vss_lib.metrics.bootstrap import FEW_CLIPS, resampling_weights
from sam2vss_lib.metrics.result import build_result
from tests.metrics.clips import Clips, Maps, evaluate, random_clips

CLIPS = random_clips(5, (4, 6, 3, 5))
SETTINGS = {"window_lengths": (2, 4), "radii_px": (2,)}
BASE = evaluate(CLIPS, 5, **SETTINGS)


def half_corrected(clips: dict[str, tuple[Maps, Maps]]) -> Clips:
    """The same clips with the left half of each prediction replaced by ground truth."""
    better: dict[str, tuple[Maps, Maps]] = {}
    for name, (predictions, truths) in clips.items():
        left = np.arange(truths[0].shape[1]) < truths[0].shape[1] // 2
        better[name] = (
            [np.where(left, t, p) for p, t in zip(predictions, truths, strict=True)],
            truths,
        )
    return better


REFINED = evaluate(half_corrected(CLIPS), 5, **SETTINGS)


def resampled_metrics(sums: ClipSums, weights: np.ndarray) -> dict[str, float]:
    """Headline values of a data set in which each clip really occurs as often as drawn."""
    copies = {
        f"{name}#{copy}": sums.clips[name]
        for name, times in zip(sums.names, weights, strict=True)
        for copy in range(times)
    }
    return defined(build_result(ClipSums(sums.settings, copies), samples=1))


def defined(result: MetricsResult) -> dict[str, float]:
    """The headline metrics that have a value."""
    return {metric: value for metric, value in result.metrics.items() if value is not None}


def test_intervals_equal_explicit_resampling() -> None:
    weights = resampling_weights(len(CLIPS), 25, seed=3)
    assert (weights.sum(axis=1) == len(CLIPS)).all()
    drawn = [resampled_metrics(BASE.sums, row) for row in weights]
    intervals = confidence_interval(BASE, samples=25, seed=3, level=0.8)
    for metric, interval in intervals.items():
        values = [row[metric] for row in drawn if metric in row]
        assert interval == pytest.approx(np.percentile(values, [10, 90]), abs=1e-9)


def test_gains_equal_explicit_resampling_of_both_sides() -> None:
    weights = resampling_weights(len(CLIPS), 25, seed=4)
    pairs = [
        (resampled_metrics(BASE.sums, row), resampled_metrics(REFINED.sums, row)) for row in weights
    ]
    gains = paired_gain(BASE, REFINED, samples=25, seed=4)
    before, after = (defined(suite.compute(samples=1)) for suite in (BASE, REFINED))
    for metric, gain in gains.items():
        drawn = [b[metric] - a[metric] for a, b in pairs if metric in a]
        assert gain.gain == pytest.approx(after[metric] - before[metric], abs=1e-9)
        assert (gain.low, gain.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=1e-9)
    assert [gain.clips for gain in gains.values()] == [4, 4, 4, 4, 2]


def test_no_change_gains_exactly_nothing() -> None:
    for gain in paired_gain(BASE, BASE.sums, samples=50).values():
        assert (gain.gain, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_seed_decides_the_interval() -> None:
    first, again, other = (confidence_interval(BASE, samples=50, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_one_clip_has_a_gain_without_interval() -> None:
    one = {"clip0": CLIPS["clip0"]}
    base, refined = (evaluate(c, 5, **SETTINGS) for c in (one, half_corrected(one)))
    gains = paired_gain(base, refined, samples=10)
    gain = defined(refined.compute())["mIoU"] - defined(base.compute())["mIoU"]
    assert gains["mIoU"] == Gain(gain, None, None, 1, FEW_CLIPS)
    assert gain > 0
    assert gains["mVC4"] == Gain(None, None, None, 0, "no clip has a value")
    assert set(confidence_interval(base).values()) == {None}


def test_unlike_sides_are_refused() -> None:
    fewer = evaluate({"clip0": CLIPS["clip0"]}, 5, **SETTINGS)
    with pytest.raises(DataError, match="clip clip1: counted on one side only"):
        paired_gain(BASE, fewer)
    with pytest.raises(SettingsError, match="cannot compare"):
        paired_gain(BASE, evaluate(CLIPS, 6, **SETTINGS))
    relabelled = {name: (predictions, predictions) for name, (predictions, _) in CLIPS.items()}
    with pytest.raises(DataError, match="clip clip0: ground_truth differs"):
        paired_gain(BASE, evaluate(relabelled, 5, **SETTINGS))


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"level": 1.0}])
def test_impossible_bootstraps_are_refused(wrong) -> None:
    with pytest.raises(SettingsError, match="bootstrap"):
        confidence_interval(BASE, **wrong)
