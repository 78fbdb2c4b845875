"""Objects whose masks have become the same: an approximation that follows them once from there.

A grid of points proposes many an object more than once, a little differently; SAM2 then draws the
tracks together within a few frames.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def overlaps(masks: Tensor) -> NDArray[np.float64]:
    """(n, n) IoU of (n, H, W) bool masks; that of an empty mask with any is 0."""
    with torch.autocast(masks.device.type, enabled=False):
        pixels = masks.flatten(1).float()
        shared = (pixels @ pixels.T).double()
    areas = shared.diagonal()
    return (shared / (areas[:, None] + areas - shared).clamp_min(1)).cpu().numpy()


def first_alike(masks: Tensor, iou: float) -> NDArray[np.int64]:
    """Which mask each is taken for: itself, or the first kept one that it overlaps enough.

    Args:
        masks: (n, H, W) bool, the best first.
        iou: from which on two masks are taken for one.

    Returns:
        (n,) indices; an index that stands at its own place is of a mask that is kept.
    """
    alike = overlaps(masks) >= iou
    found = np.arange(len(masks))
    for index in range(1, len(masks)):
        earlier = np.flatnonzero(alike[index, :index] & (found[:index] == np.arange(index)))
        if len(earlier):
            found[index] = earlier[0]
    return found
