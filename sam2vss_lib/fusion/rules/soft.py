"""The soft vote: a masklet's class is the one with the most probability under it in its window."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.fusion.probabilities import middles
from sam2vss_lib.refinement.window import Window


def soft_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame.

    Probabilities are summed at their own resolution: a place of their map votes for the masklets
    over its middle. A masklet that lies under none paints nothing.
    """
    mass = sum((_mass(window, index) for index in range(1, len(window))), _mass(window, 0))
    classes = np.where(mass.any(1), mass.argmax(1), VOID).astype(np.uint8)
    for index in range(len(window)):
        yield window.painted(index, classes)


def _mass(window: Window, index: int) -> NDArray[np.float64]:
    """Probability of each class under each masklet on a frame, (n, C)."""
    probabilities = window.probabilities(index)
    assert probabilities is not None, "as `refine` has checked"
    masks = window.parts[index].masks()
    rows, columns = middles(probabilities.shape[1:], masks.shape[1:])
    found = np.zeros((len(masks), len(probabilities)))
    for masklet, mask in enumerate(masks[:, rows, columns]):
        found[masklet] = probabilities[:, mask].sum(1, dtype=np.float64)
    return found
