"""Bilinear resizing of 8-bit images as OpenCV does it, which published base models read through.

Weights are rounded to 1/2048 and sums shifted instead of divided, so that a value may differ by one
grey level from the rounded exact interpolation. Integer arithmetic only: equal on every device.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

_ONE = 2048  # a weight of 1 in fixed point, as INTER_RESIZE_COEF_SCALE


def resize_pixels(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize as `cv2.resize` with `INTER_LINEAR` does.

    Args:
        images: (B, 3, h, w) uint8.
        size: wanted (height, width) in px.

    Returns:
        (B, 3, height, width) uint8; `images` itself where it has that size.
    """
    height, width = images.shape[-2:]
    if (height, width) == tuple(size):
        return images
    left, of_left, of_right = _taps(width, size[1], images.device)
    outside = (left < 0) | (left >= width - 1)  # along a row, the border pixel counts alone
    of_left, of_right = of_left.where(~outside, _ONE), of_right.where(~outside, 0)
    left = left.clamp(0, width - 1)
    right = (left + 1).clamp(max=width - 1)
    rows = images.index_select(-1, left) * of_left + images.index_select(-1, right) * of_right
    rows >>= 4

    top, of_top, of_bottom = _taps(height, size[0], images.device)
    bottom = (top + 1).clamp(0, height - 1)
    top = top.clamp(0, height - 1)
    above = rows.index_select(-2, top).mul_(of_top[:, None])
    below = rows.index_select(-2, bottom).mul_(of_bottom[:, None])
    above >>= 16
    below >>= 16
    return ((above.add_(below) + 2) >> 2).to(torch.uint8)


@lru_cache(maxsize=8)  # a clip's frames, and most clips, have one size
def _taps(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """First of the two pixels behind each new one, and the weights of both, in fixed point."""
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    centres = centres.float()
    first = centres.floor()
    offset = centres - first
    of_first, of_second = (_ONE * (1 - offset)).round().int(), (_ONE * offset).round().int()
    return first.long().to(device), of_first.to(device), of_second.to(device)
