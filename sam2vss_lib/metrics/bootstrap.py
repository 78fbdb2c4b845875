"""Percentile bootstrap over clips: how far a value or a gain depends on the clips drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.metrics.iou import ratio
from sam2vss_lib.metrics.metric import Floats, Sums
from sam2vss_lib.metrics.sums import ClipSums
from sam2vss_lib.metrics.values import headline_values

FEW_CLIPS = "too few clips have a value of their own for an interval over clips"


class HasSums(Protocol):
    """Anything that holds per-clip sums, as a `MetricSuite` does."""

    @property
    def sums(self) -> ClipSums:
        """The sums of the finished clips."""
        ...


@dataclass(frozen=True)
class PairedGain:
    """How much a refinement adds to one metric, in percentage points.

    Attributes:
        gain: refined minus base over all clips; None where the metric cannot be computed.
        low: lower end of the interval; None where there is no interval.
        high: upper end of the interval; None where there is no interval.
        clips: number of clips that have a value of their own.
        note: why something is None.
    """

    gain: float | None
    low: float | None
    high: float | None
    clips: int
    note: str | None = None


def resampling_weights(clips: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Draw how often each clip occurs in each resample of as many clips, with replacement.

    Returns:
        (samples, clips) int64, rows summing to `clips`.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(clips, np.full(clips, 1.0 / clips), size=samples)


def confidence_interval(
    scores: ClipSums | HasSums, samples: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float] | None]:
    """Percentile bootstrap interval of every headline metric over clips.

    Frames of one clip resemble each other, so clips and not frames are what is resampled.

    Args:
        scores: a suite or its sums.
        samples: number of resamples.
        seed: seed of the resampling.
        level: coverage, in 0..1.

    Returns:
        metric -> (low, high) in percent, None if fewer than two clips have a value of their own.

    Raises:
        SettingsError: `samples` or `level` is outside its range.
    """
    _check(samples, level)
    sums = _sums_of(scores)
    resampled = _resampled(sums, samples, seed)
    return {
        metric: _interval(resampled[metric], clips, level)
        for metric, clips in _clips_defined(sums).items()
    }


def paired_gain(
    base: ClipSums | HasSums,
    refined: ClipSums | HasSums,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, PairedGain]:
    """Gain of every headline metric, with an interval from the same resampled clips on both sides.

    Pairing removes what makes a clip hard for both; the interval of the gain is far narrower than
    those of the two values suggest.

    Args:
        base: suite or sums of the base predictions.
        refined: suite or sums of the refined predictions of the same clips.
        samples: number of resamples.
        seed: seed of the resampling.
        level: coverage, in 0..1.

    Returns:
        metric -> gain and interval, in percentage points.

    Raises:
        SettingsError: the settings of the two differ, or `samples` or `level` is out of range.
        DataError: the clips or their ground truth differ.
    """
    _check(samples, level)
    before, after = _sums_of(base), _sums_of(refined)
    _check_pair(before, after)
    values = [headline_values(sums.total(), sums.settings) for sums in (before, after)]
    resampled = [_resampled(sums, samples, seed) for sums in (before, after)]
    gains: dict[str, PairedGain] = {}
    for metric, clips in _clips_defined(before).items():
        gain = float(values[1][metric] - values[0][metric])
        interval = _interval(resampled[1][metric] - resampled[0][metric], clips, level)
        if np.isnan(gain):
            gains[metric] = PairedGain(None, None, None, clips, "no clip has a value")
        elif interval is None:
            gains[metric] = PairedGain(gain, None, None, clips, FEW_CLIPS)
        else:
            gains[metric] = PairedGain(gain, *interval, clips)
    return gains


def paired_share_gain(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    counted: NDArray[np.int64],
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedGain:
    """Gain of a share of pixels that is pooled over clips, with the same resamples on both sides.

    Args:
        before: (clips,) pixels of the base predictions that have a property, such as being right.
        after: (clips,) those of the refined predictions.
        counted: (clips,) pixels that could have it.
        samples: number of resamples.
        seed: seed of the resampling.
        level: coverage, in 0..1.

    Returns:
        Gain in percentage points; its `clips` are those with pixels that count.

    Raises:
        SettingsError: `samples` or `level` is out of range.
    """
    _check(samples, level)
    clips = int((counted > 0).sum())
    if clips == 0:
        return PairedGain(None, None, None, 0, "no clip has a value")
    weights = resampling_weights(len(counted), samples, seed)
    resampled = 100 * ratio(weights @ (after - before), weights @ counted)
    gain = 100 * float((after - before).sum() / counted.sum())
    interval = _interval(resampled, clips, level)
    if interval is None:
        return PairedGain(gain, None, None, clips, FEW_CLIPS)
    return PairedGain(gain, *interval, clips)


def _sums_of(scores: ClipSums | HasSums) -> ClipSums:
    return scores if isinstance(scores, ClipSums) else scores.sums


def _check(samples: int, level: float) -> None:
    if samples < 1 or not 0.0 < level < 1.0:
        raise SettingsError(f"bootstrap: {samples} samples at level {level} are not possible")


def _check_pair(before: ClipSums, after: ClipSums) -> None:
    """Raise unless both were counted alike on the same clips with the same ground truth."""
    if before.settings != after.settings:
        raise SettingsError(f"cannot compare metrics of {before.settings} with {after.settings}")
    if alone := sorted(before.clips.keys() ^ after.clips.keys()):
        raise DataError(f"clip {alone[0]}: counted on one side only, gains cannot be paired")
    for name in before.names:
        for key in ("frames", "ground_truth"):
            if not np.array_equal(before.clips[name][key], after.clips[name][key]):
                raise DataError(f"clip {name}: {key} differs between the two sides of a gain")


def _clips_defined(sums: ClipSums) -> dict[str, int]:
    """Number of clips with a value of their own, for each headline metric.

    Whether a value exists depends on the ground truth alone, so it is the same on paired sides.
    """
    per_clip = headline_values(sums.stacked(), sums.settings)
    return {metric: int((~np.isnan(values)).sum()) for metric, values in per_clip.items()}


def _resampled(sums: ClipSums, samples: int, seed: int) -> dict[str, Floats]:
    """Headline values of every resample: (samples,) float64 each, NaN where it misses the metric.

    Values are functions of sums, so a resample is a weighted sum over clips: one matrix product.
    Counts below 2^53 stay exact in float64.
    """
    clips = len(sums.clips)
    if clips == 0:
        return {metric: np.empty(0) for metric in sums.settings.metric_names}
    weights = resampling_weights(clips, samples, seed).astype(np.float64)
    weighted: Sums = {
        key: np.tensordot(weights, values.astype(np.float64), axes=1)
        for key, values in sums.stacked().items()
    }
    return headline_values(weighted, sums.settings)


def _interval(values: Floats, clips: int, level: float) -> tuple[float, float] | None:
    """Central interval of the defined values; None if they come from one clip or there is none."""
    defined = values[~np.isnan(values)]
    if clips < 2 or not len(defined):
        return None
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(defined, [tail, 100.0 - tail])
    return float(low), float(high)
