"""Pixels by their distance to the nearest ground-truth boundary."""

import torch
from torch import Tensor

from sam2vss_lib.metrics.bands import inner_band
from sam2vss_lib.metrics.protocol import VOID

#: lower ends of the bins of distance in pixels; the last bin is open
BIN_STARTS_PX = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


def squared_distance(marked: Tensor, limit_px: int) -> Tensor:
    """Square of the exact Euclidean distance to the nearest marked pixel.

    The square of a distance is a sum over the two axes, so the minimum over the plane is one over
    rows of minima over columns; each looks no further than the limit, 1 to 127 px, from which on
    distances are not told apart. Marks are (H, W) bool, squares int16.
    """
    squares = torch.where(marked, 0, limit_px**2).to(torch.int16)
    for axis in (0, 1):
        nearest = squares.clone()
        length = squares.shape[axis]
        for shift in range(1, min(limit_px, length)):
            rest, moved = length - shift, squares + shift**2
            low, high = nearest.narrow(axis, 0, rest), nearest.narrow(axis, shift, rest)
            torch.minimum(low, moved.narrow(axis, shift, rest), out=low)
            torch.minimum(high, moved.narrow(axis, 0, rest), out=high)
        squares = nearest
    return squares


def distance_bins(ground_truth: Tensor) -> Tensor:
    """Bin of every pixel's distance to the nearest boundary of a ground-truth map.

    A boundary pixel touches another label, void included, also by a corner (`inner_band` of radius
    1); its distance is 0. The edge of the frame is no boundary.

    Returns:
        (H, W) uint8, index into `BIN_STARTS_PX`; 255 for void pixels, and everywhere in a map of a
        single label.
    """
    boundary = inner_band(ground_truth, 1)
    if not boundary.any():
        return torch.full_like(ground_truth, VOID)
    starts = torch.tensor(BIN_STARTS_PX, dtype=torch.int16, device=ground_truth.device)
    squares = squared_distance(boundary, BIN_STARTS_PX[-1])
    bins = torch.bucketize(squares, starts**2, right=True) - 1
    return torch.where(ground_truth == VOID, VOID, bins).to(torch.uint8)
