"""Masks that are given to the model, as objects to follow or as prompts."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

GIVEN_LOGIT = 10.0  # stock's logit of a mask that was given: plus or minus this


def given_masks(masks: NDArray[np.bool_], predictor: Any) -> Tensor:
    """(n, H, W) masks to (n, 1, S, S) float32 of zeros and ones."""
    size = (predictor.image_size,) * 2
    x = torch.from_numpy(masks)[:, None].to(predictor.device, non_blocking=True).float()
    if x.shape[-2:] == size:
        return x
    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    return (x >= 0.5).float()


def given_logits(given: Tensor) -> Tensor:
    """(n, 1, S, S) masks to (n, 1, S/4, S/4) logits."""
    size = (given.shape[-2] // 4, given.shape[-1] // 4)
    x = given * (2 * GIVEN_LOGIT) - GIVEN_LOGIT
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
