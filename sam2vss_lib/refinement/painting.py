"""Masklets painted in their classes, and which of them is on top where they overlap (Eq. 1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.masklets.runs import Runs
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.settings import Overlap


def paint(prediction: Labels, runs: Runs, classes: Labels, priority: NDArray[Any]) -> Labels:
    """Give every mask its class, and pixels under several masks that of highest priority (Eq. 1).

    The prediction, (H, W) uint8 as the result, is kept outside the masks. Masks of class 255, (n,)
    uint8, paint nothing; of equal priority, (n,) numbers, the later mask wins.
    """
    column = prediction.T.ravel()  # a copy
    starts, stops = runs.starts.tolist(), runs.stops.tolist()
    last = np.cumsum(runs.counts).tolist()
    for index in priority.argsort(kind="stable").tolist():
        if (label := classes[index]) != VOID:
            for run in range(last[index] - int(runs.counts[index]), last[index]):
                column[starts[run] : stops[run]] = label
    return np.ascontiguousarray(column.reshape(prediction.shape[::-1]).T)


def paint_frame(
    prediction: Labels, part: FrameMasklets, classes: Labels, overlap: Overlap
) -> Labels:
    """Paint the masklets of one frame in their classes (Eq. 1); arguments are those of `paint`."""
    return paint(prediction, _runs(part, overlap), classes, priority_of(part, overlap))


def painters(
    part: FrameMasklets, overlap: Overlap, classes: Labels | None = None
) -> NDArray[np.int32]:
    """Index of the masklet that paints each pixel, (H, W); -1 where none does.

    Masklets of class 255, (n,) uint8, paint nothing; without classes all of them paint.
    """
    runs, past = _runs(part, overlap), VOID + 1  # numbers from here on are no labels
    numbers: Any = np.arange(past, past + len(runs.counts), dtype=np.int32)
    if classes is not None:
        numbers[classes == VOID] = VOID
    nobody: Any = np.full(runs.size_px, past - 1, np.int32)
    painted: Any = paint(nobody, runs, numbers, priority_of(part, overlap))
    return painted - np.int32(past)


def _runs(part: FrameMasklets, overlap: Overlap) -> Runs:
    return part.runs("rle_visible" if overlap == "logit" else "rle")


def priority_of(part: FrameMasklets, overlap: Overlap) -> NDArray[Any]:
    """Which masklets of a frame are on top, (n,): the higher.

    Under `logit` visible parts are painted, which are disjoint: their order is of no matter.
    """
    if overlap in ("predicted_iou", "stability"):
        return part.values(overlap)
    return -part.values("area")
