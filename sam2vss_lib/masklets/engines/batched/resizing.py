"""Pillow's bicubic resizing on any device, equal to the bit.

Pillow computes in whole numbers: the weights of a pixel's neighbours are rounded to 22 bits behind
the point, and after each direction sums are rounded to 8 bits (`PIL.Image.Image.resize`). Whole
numbers are the same everywhere, so a GPU may do what stock sam2 has Pillow do on the host, where
it takes 20 ms a frame.
"""

import math
from functools import lru_cache, reduce

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

_BITS = 22  # of a weight behind its point
_REACH_PX = 2.0  # of the cubic to each side, in source pixels or, where those are more, new ones
_ROWS, _COLUMNS = 1, 2  # axes


def resize_bicubic(images: Tensor, side_px: int, axes: tuple[int, ...]) -> Tensor:
    """(n, H, W, C) uint8 images to (n, side_px, side_px, C), in the order of `pillows_order`."""
    return reduce(lambda found, axis: _along(found, axis, side_px), axes, images)


@lru_cache(maxsize=8)
def pillows_order(size_px: tuple[int, int], side_px: int) -> tuple[int, ...] | None:
    """The axes in the order that the installed Pillow resizes in; None if it is not known.

    Up to Pillow 12 columns, here the axis of pixels in a row, always came first; from 13 on that
    depends on the sizes. So an image of noise tells.
    """
    image = np.random.default_rng(0).integers(0, 256, (*size_px, 3), np.uint8)
    expected = np.array(Image.fromarray(image).resize((side_px, side_px)))
    for axes in ((_COLUMNS, _ROWS), (_ROWS, _COLUMNS)):
        found = resize_bicubic(torch.from_numpy(image)[None], side_px, axes)
        if np.array_equal(found[0].numpy(), expected):
            return axes
    return None


def _along(images: Tensor, axis: int, size: int) -> Tensor:
    """Resize one direction."""
    if images.shape[axis] == size:
        return images
    first, weights = _weights(images.shape[axis], size, images.device)
    shape = [1] * images.ndim
    shape[axis] = size
    last = images.shape[axis] - 1
    total = torch.full((), 1 << _BITS - 1, dtype=torch.int32, device=images.device)
    for tap, weight in enumerate(weights):
        # beyond the last neighbour weights are 0, whatever they are of
        source = images.index_select(axis, (first + tap).clamp_max(last))
        total = total + source.int() * weight.view(shape)
    return (total >> _BITS).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=8)
def _weights(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first neighbour of every new pixel, (new,), and its neighbours' weights, (taps, new)."""
    scale = old / new
    wider = max(scale, 1.0)
    reach = _REACH_PX * wider
    taps = math.ceil(reach) * 2 + 1
    centre = (np.arange(new) + 0.5) * scale
    first = np.maximum(np.trunc(centre - reach + 0.5), 0).astype(np.int64)
    count = np.minimum(np.trunc(centre + reach + 0.5).astype(np.int64), old) - first
    tap = np.arange(taps)[:, None]
    weight = _cubic((tap + first - centre + 0.5) * (1 / wider))
    weight[tap >= count] = 0
    # one after the other, as Pillow sums them
    weight *= 1 / np.add.accumulate(weight)[-1]
    rounded = np.trunc(weight * (1 << _BITS) + np.where(weight < 0, -0.5, 0.5)).astype(np.int32)
    return torch.from_numpy(first).to(device), torch.from_numpy(rounded).to(device)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic of Keys with a = -1/2."""
    x = np.abs(x)
    near = ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
