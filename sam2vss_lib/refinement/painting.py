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
    runs = part.runs("rle_visible" if overlap == "logit" else "rle")
    return paint(prediction, runs, classes, painting_order(part, overlap))


def painting_order(part: FrameMasklets, overlap: Overlap) -> NDArray[Any]:
    """Priority of each masklet, (n,): higher is on top; visible parts are disjoint anyway."""
    if overlap in ("predicted_iou", "stability"):
        return part.values(overlap)
    return -part.values("area")
