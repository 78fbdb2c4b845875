"""Slow refinement: Eq. 1 and 2 pixel by pixel, with every rule written out as a decision."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.uint8]
VOID = 255


@dataclass
class Masklet:
    """One masklet of a window: its mask and visible part on each of the window's frames."""

    masks: list[NDArray[np.bool_]]
    visible: list[NDArray[np.bool_]]
    predicted_iou: float
    stability: float


def count(prediction: Map, mask: NDArray[np.bool_]) -> Counter[int]:
    """Pixels of each class under a mask; void has no vote."""
    votes: Counter[int] = Counter()
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            if mask[y, x] and prediction[y, x] != VOID:
                votes[int(prediction[y, x])] += 1
    return votes


def winner(votes: Counter[int]) -> int | None:
    """The class of most votes, the lowest among equals; None without any vote."""
    most = max(votes.values(), default=0)
    return min((c for c, number in votes.items() if number == most), default=None)


def refine_window(
    predictions: list[Map], masklets: list[Masklet], vote: str, overlap: str
) -> list[Map]:
    """Refined labels of a window's frames."""
    counts = [
        [count(prediction, masklet.masks[t]) for masklet in masklets]
        for t, prediction in enumerate(predictions)
    ]
    refined = []
    for t, prediction in enumerate(predictions):
        classes = []
        for i in range(len(masklets)):
            frames = [t] if vote == "frame" else range(len(predictions))
            classes.append(winner(sum((counts[s][i] for s in frames), Counter())))
        result = prediction.copy()
        height, width = prediction.shape
        for y in range(height):
            for x in range(width):
                top = on_top(masklets, classes, t, (y, x), overlap)
                if top is not None:
                    result[y, x] = top
        refined.append(result)
    return refined


def on_top(
    masklets: list[Masklet], classes: list[int | None], t: int, pixel: Any, overlap: str
) -> int | None:
    """Class that a pixel takes from the masklets above it; None if it keeps its own."""
    best, best_value = None, -np.inf
    for masklet, chosen in zip(masklets, classes, strict=True):
        if overlap == "logit":
            if masklet.visible[t][pixel]:
                return chosen
            continue
        value = {
            "area": -int(masklet.masks[t].sum()),
            "predicted_iou": masklet.predicted_iou,
            "stability": masklet.stability,
        }[overlap]
        if masklet.masks[t][pixel] and chosen is not None and value >= best_value:
            best, best_value = chosen, value
    return best
