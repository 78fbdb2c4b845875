"""Masks proposed on a frame, whoever proposes them, and the thresholds that they pass."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Proposals:
    """Masks proposed on a frame, by descending predicted IoU."""

    masks: NDArray[np.bool_]  # (n, H, W)
    predicted_iou: NDArray[np.float32]  # (n,)
    stability: NDArray[np.float32]  # (n,)


def above(scores: Tensor, threshold: float) -> Tensor:
    """Stock's cut of the predicted IoU, (n,) bool of (n,): none at all at 0."""
    return scores > threshold if threshold > 0 else torch.ones_like(scores, dtype=torch.bool)


def at_least(scores: Tensor, threshold: float) -> Tensor:
    """Stock's cut of the stability, (n,) bool of (n,): none at all at 0, where even NaN passes."""
    return scores >= threshold if threshold > 0 else torch.ones_like(scores, dtype=torch.bool)
