"""Masks proposed on a frame, whoever proposes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Proposals:
    """Masks proposed on a frame, by descending predicted IoU."""

    masks: NDArray[np.bool_]  # (n, H, W)
    predicted_iou: NDArray[np.float32]  # (n,)
    stability: NDArray[np.float32]  # (n,)
