"""Masklets painted in their classes, and which of them is on top where they overlap (Eq. 1)."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.masklets.runs import Runs
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.settings import Overlap

_Number = TypeVar("_Number", bound=np.integer[Any])


def paint(prediction: Labels, runs: Runs, classes: Labels, priority: NDArray[Any]) -> Labels:
    """Give every mask its class, and pixels under several masks that of highest priority (Eq. 1).

    The prediction, (H, W) uint8 as the result, is kept outside the masks. Masks of class 255, (n,)
    uint8, paint nothing; of equal priority, (n,) numbers, the later mask wins.
    """
    column = prediction.T.ravel()  # a copy
    return _filled(column, runs, classes, _order(priority, classes))


def _order(priority: NDArray[Any], classes: Labels | None) -> NDArray[np.intp]:
    """Indices of the masks that paint, the lower first."""
    order = priority.argsort(kind="stable")
    return order if classes is None else order[classes[order] != VOID]


def _filled(
    column: NDArray[_Number], runs: Runs, values: NDArray[_Number], order: NDArray[np.intp]
) -> NDArray[_Number]:
    """Pixels column by column, which are written to, with masks in their values; (H, W)."""
    starts, stops = runs.starts.tolist(), runs.stops.tolist()
    last = np.cumsum(runs.counts).tolist()
    for index in order.tolist():
        value = values[index]
        for run in range(last[index] - int(runs.counts[index]), last[index]):
            column[starts[run] : stops[run]] = value
    return np.ascontiguousarray(column.reshape(runs.size_px[::-1]).T)


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
    runs, order = _runs(part, overlap), _order(priority_of(part, overlap), classes)
    nobody = np.full(runs.size_px[0] * runs.size_px[1], -1, np.int32)
    return _filled(nobody, runs, np.arange(len(runs.counts), dtype=np.int32), order)


def _runs(part: FrameMasklets, overlap: Overlap) -> Runs:
    return part.runs("rle_visible" if overlap == "logit" else "rle")


def priority_of(part: FrameMasklets, overlap: Overlap) -> NDArray[Any]:
    """Which masklets of a frame are on top, (n,): the higher.

    Under `logit` visible parts are painted, which are disjoint: their order is of no matter.
    """
    if overlap in ("predicted_iou", "stability"):
        return part.values(overlap)
    return -part.values("area")
