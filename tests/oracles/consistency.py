"""Slow video consistency: whole windows of frames compared, one window at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.uint8]
Clips = list[tuple[list[Map], list[Map]]]
VOID = 255


def vc_code(clips: Clips, n: int) -> float:
    """The behaviour of VSPW's published script, in percent; clips hold (predictions, truths).

    Start frames run over range(C - n); every later frame of a window is compared with the first,
    in ground truth and prediction apart; the windows of all clips go into one nanmean.
    """
    ratios: list[float] = []
    for predictions, truths in clips:
        for start in range(len(truths) - n):
            steady_truth = np.ones(truths[0].shape, bool)
            steady_prediction = np.ones(truths[0].shape, bool)
            for later in range(start + 1, start + n):
                steady_truth &= truths[later] == truths[start]
                steady_prediction &= predictions[later] == predictions[start]
            if steady_truth.sum():
                ratios.append((steady_truth & steady_prediction).sum() / steady_truth.sum())
    return 100 * float(np.mean(ratios)) if ratios else np.nan


def vc_eq4(clips: Clips, n: int) -> float:
    """Eq. 4 literally, in percent: intersections of class masks, summed over the classes."""
    per_clip: list[float] = []
    for predictions, truths in clips:
        ratios: list[float] = []
        for start in range(len(truths) - n + 1):
            frames = range(start, start + n)
            upper = lower = 0
            for c in range(VOID):
                truth = np.logical_and.reduce([truths[i] == c for i in frames])
                output = np.logical_and.reduce([predictions[i] == c for i in frames])
                upper += int((truth & output).sum())
                lower += int(truth.sum())
            if lower:
                ratios.append(upper / lower)
        if ratios:
            per_clip.append(float(np.mean(ratios)))
    return 100 * float(np.mean(per_clip)) if per_clip else np.nan
