"""Slow video consistency: whole windows of frames compared, one window at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.uint8]
Truths = Sequence[Map | None]
Clips = list[tuple[list[Map], Truths]]
VOID = 255


def window(truths: Truths, start: int, n: int) -> list[Map]:
    """The ground truth of a window; nothing unless all its frames are annotated."""
    found = [truth for truth in truths[start : start + n] if truth is not None]
    return found if len(found) == n else []


def vc_code(clips: Clips, n: int) -> float:
    """The behaviour of VSPW's published script, in percent; clips hold (predictions, truths).

    Start frames run over range(C - n); every later frame of a window is compared with the first,
    in ground truth and prediction apart; the windows of all clips go into one nanmean. Truths are
    None where a frame has none; windows count only where they are annotated throughout.
    """
    ratios: list[float] = []
    for predictions, truths in clips:
        for start in range(len(truths) - n):
            annotated = window(truths, start, n)
            if not annotated:
                continue
            steady_truth = np.ones(annotated[0].shape, bool)
            steady_prediction = np.ones(annotated[0].shape, bool)
            for later in range(1, n):
                steady_truth &= annotated[later] == annotated[0]
                steady_prediction &= predictions[start + later] == predictions[start]
            if steady_truth.sum():
                ratios.append((steady_truth & steady_prediction).sum() / steady_truth.sum())
    return 100 * float(np.mean(ratios)) if ratios else np.nan


def vc_eq4(clips: Clips, n: int) -> float:
    """Eq. 4 literally, in percent: intersections of class masks, summed over the classes."""
    per_clip: list[float] = []
    for predictions, truths in clips:
        ratios: list[float] = []
        for start in range(len(truths) - n + 1):
            annotated = window(truths, start, n)
            if not annotated:
                continue
            upper = lower = 0
            for c in range(VOID):
                truth = np.logical_and.reduce([one == c for one in annotated])
                output = np.logical_and.reduce([predictions[start + i] == c for i in range(n)])
                upper += int((truth & output).sum())
                lower += int(truth.sum())
            if lower:
                ratios.append(upper / lower)
        if ratios:
            per_clip.append(float(np.mean(ratios)))
    return 100 * float(np.mean(per_clip)) if per_clip else np.nan
