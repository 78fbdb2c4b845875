"""Percentile bootstrap over clips: how far a value or a gain depends on the clips drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.metrics.iou import ratio
from sam2vss_lib.metrics.metric import AnySums, Floats, Numbers
from sam2vss_lib.metrics.sums import ClipSums, headline_values

if TYPE_CHECKING:
    from sam2vss_lib.metrics.suite import MetricSuite

FEW_CLIPS = "too few clips have a value of their own for an interval over clips"


@dataclass(frozen=True)
class Gain:
    """A difference in one metric, in percentage points, such as what a refinement adds."""

    gain: float | None = None  # after minus before, over all clips; None where it is undefined
    low: float | None = None  # lower end of the interval over clips; None where there is none
    high: float | None = None  # upper end, likewise
    clips: int | None = None  # that have a value of their own; None where that is not known
    note: str | None = None  # why something is None


def resampling_weights(clips: int, samples: int, seed: int) -> NDArray[np.int64]:
    """How often each clip is drawn, with replacement, in each resample of as many clips.

    It is (samples, clips) int64, rows summing to `clips`.
    """
    if clips == 0:
        return np.zeros((samples, 0), np.int64)
    generator = np.random.default_rng(seed)
    return generator.multinomial(clips, np.full(clips, 1.0 / clips), size=samples)


def confidence_interval(
    scores: ClipSums | MetricSuite, samples: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float] | None]:
    """Percentile bootstrap interval of every headline metric over clips.

    Frames of one clip resemble each other, so clips and not frames are what is resampled. The level
    is the coverage, in 0..1.

    Returns:
        metric -> (low, high) in percent, None if fewer than two clips have a value of their own.

    Raises:
        SettingsError: `samples` or `level` is outside its range.
    """
    sums = _sums_of(scores)
    values = partial(headline_values, settings=sums.settings)
    found = _bootstrap([sums.stacked()], values, samples, seed, level)
    return {
        metric: None if value.low is None or value.high is None else (value.low, value.high)
        for metric, value in found.items()
    }


def paired_gain(
    base: ClipSums | MetricSuite,
    refined: ClipSums | MetricSuite,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Gain]:
    """Gain of every headline metric, with an interval from the same resampled clips on both sides.

    Pairing removes what makes a clip hard for both; the interval of the gain is far narrower than
    those of the two values suggest. Further arguments are those of `confidence_interval`.

    Returns:
        metric -> gain and interval, in percentage points.

    Raises:
        SettingsError: the settings of the two differ, or `samples` or `level` is out of range.
        DataError: the clips or their ground truth differ.
    """
    return mean_paired_gain([(base, refined)], samples, seed, level)


def mean_paired_gain(
    pairs: Sequence[tuple[ClipSums | MetricSuite, ClipSums | MetricSuite]],
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Gain]:
    """The gains of several pairs, such as of several base models, averaged over the pairs.

    All are of the same clips, which are drawn for all at once. Arguments, result and errors are
    those of `paired_gain`.
    """
    sides = [(_sums_of(base), _sums_of(refined)) for base, refined in pairs]
    first, _ = sides[0]
    for before, after in sides:
        _check_pair(before, after)
        _check_pair(first, before)

    def gains(*stacked: AnySums) -> dict[str, Floats]:
        values = [headline_values(side, first.settings) for side in stacked]
        found = [
            {metric: after[metric] - before[metric] for metric in before}
            for before, after in zip(values[::2], values[1::2], strict=True)
        ]
        return {metric: np.mean([one[metric] for one in found], axis=0) for metric in found[0]}

    stacked = [side.stacked() for pair in sides for side in pair]
    return _bootstrap(stacked, gains, samples, seed, level)


def paired_share_gain(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    counted: NDArray[np.int64],
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Gain:
    """Gain of a share of pixels that is pooled over clips, with the same resamples on both sides.

    Of each clip, (clips,), there are the pixels that have a property, such as being right, in the
    base predictions (`before`) and in the refined ones (`after`), and those that could have it
    (`counted`). Further arguments are those of `confidence_interval`.

    Returns:
        Gain in percentage points; its `clips` are those with pixels that count.

    Raises:
        SettingsError: `samples` or `level` is out of range.
    """

    def share(of: AnySums) -> dict[str, Floats]:
        return {"share": 100 * ratio(of["more"], of["counted"])}

    pixels = {"more": after - before, "counted": counted}
    return _bootstrap([pixels], share, samples, seed, level)["share"]


def _bootstrap(
    sides: Sequence[AnySums],
    values: Callable[..., dict[str, Floats]],
    samples: int,
    seed: int,
    level: float,
) -> dict[str, Gain]:
    """Values of all clips together, with central intervals of those of resampled clips.

    Values are functions of sums, so a resample is a weighted sum over clips: one matrix product.
    Counts below 2^53 stay exact in float64.

    `sides` are sums, each (clips, ...), of the same clips on every side. `values` turns sums
    without the clips' axis, or with another in its place, one argument a side, into percent or
    points, () or (n,), NaN where undefined.
    """
    if samples < 1 or not 0.0 < level < 1.0:
        raise SettingsError(f"bootstrap: {samples} samples at level {level} are not possible")
    clips = len(next(iter(sides[0].values())))
    weights = resampling_weights(clips, samples, seed).astype(np.float64)

    def resample(counts: Numbers) -> Floats:
        return np.tensordot(weights, counts.astype(np.float64), axes=1)

    whole = values(*({key: n.sum(axis=0) for key, n in side.items()} for side in sides))
    resampled = values(*({key: resample(n) for key, n in side.items()} for side in sides))
    tail = 50.0 * (1.0 - level)
    found: dict[str, Gain] = {}
    for key, of_clips in values(*sides).items():
        clips, drawn = int((~np.isnan(of_clips)).sum()), resampled[key]
        drawn = drawn[~np.isnan(drawn)]
        if np.isnan(whole[key]):
            found[key] = Gain(clips=clips, note="no clip has a value")
        elif clips < 2 or not len(drawn):
            found[key] = Gain(float(whole[key]), clips=clips, note=FEW_CLIPS)
        else:
            low, high = np.percentile(drawn, [tail, 100.0 - tail])
            found[key] = Gain(float(whole[key]), float(low), float(high), clips)
    return found


def _sums_of(scores: ClipSums | MetricSuite) -> ClipSums:
    return scores if isinstance(scores, ClipSums) else scores.sums


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
