"""Boundary bands of label maps: flat square morphology on all classes at once."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from sam2vss_lib.metrics.protocol import VOID


def inner_band(labels: Tensor, radius_px: int, frame_edge_is_boundary: bool = False) -> Tensor:
    """Mark the pixels, (H, W) bool, in the inner boundary band of their own label's region.

    The band of a region M is M minus its erosion with a square of 2r + 1 pixels. A pixel survives
    the erosion iff the square around it holds its label alone, that is iff both the smallest and
    the largest label in the square equal its own, so one pooling serves all labels.

    Labels are (H, W) uint8, of which 255 is like any other here; what lies outside the frame counts
    as another label if `frame_edge_is_boundary`.
    """
    smallest = square_extremum(labels, radius_px, torch.minimum)
    largest = square_extremum(labels, radius_px, torch.maximum)
    band = smallest != largest
    if frame_edge_is_boundary:
        for rows in (band, band.T):
            rows[:radius_px] = True
            rows[-radius_px:] = True
    return band


def square_extremum(
    maps: Tensor, radius_px: int, extremum: Callable[..., Tensor], *, squared: bool = False
) -> Tensor:
    """Extremum over the part of the (2r + 1)-square around each pixel that is in the frame.

    Maps are (H, W), before and after; the extremum is `torch.minimum` or `torch.maximum`. If
    `squared`, a value grows by the square of its distance, along each axis, in px.
    """
    for axis in (0, 1):
        pooled = maps.clone()
        length = maps.shape[axis]
        for shift in range(1, min(radius_px, length - 1) + 1):
            rest = length - shift
            low, high = pooled.narrow(axis, 0, rest), pooled.narrow(axis, shift, rest)
            moved = maps + shift**2 if squared else maps
            extremum(low, moved.narrow(axis, shift, rest), out=low)
            extremum(high, moved.narrow(axis, 0, rest), out=high)
        maps = pooled
    return maps


def within_dilation(labels: Tensor, ground_truth: Tensor, radius_px: int) -> Tensor:
    """Mark the pixels, (H, W) bool, whose label is in the ground truth within a square around them.

    For a pixel labelled c this says whether it lies in the dilation of the ground-truth mask of c,
    without dilating C masks: the maps, (H, W) uint8, are compared under every shift of the square
    of radius r. The label 255 is within no dilation that matters: mask it out.
    """
    height, width = labels.shape
    padded = functional.pad(ground_truth, (radius_px,) * 4, value=VOID)
    found = torch.zeros_like(labels, dtype=torch.bool)
    for top in range(2 * radius_px + 1):
        for left in range(2 * radius_px + 1):
            found |= padded[top : top + height, left : left + width] == labels
    return found
