"""Masks proposed on a frame, whoever proposes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Proposals:
    """Masks proposed on a frame, by descending predicted IoU.

    Attributes:
        masks: (n, H, W) bool.
        predicted_iou: (n,) float32.
        stability: (n,) float32.
    """

    masks: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
