"""Boundary bands of label maps: flat square morphology on all classes at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from sam2vss_lib.metrics.protocol import VOID

_Extremum = Callable[..., Tensor]


def inner_band(labels: Tensor, radius_px: int, frame_edge_is_boundary: bool = False) -> Tensor:
    """Mark the pixels in the inner boundary band of their own label's region.

    The band of a region M is M minus its erosion with a square of 2r + 1 pixels. A pixel survives
    the erosion iff the square around it holds its label alone, that is iff both the smallest and
    the largest label in the square equal its own, so one pooling serves all labels.

    Args:
        labels: (H, W) uint8; 255 is a label like any other here.
        radius_px: radius r of the square.
        frame_edge_is_boundary: whether what lies outside the frame counts as another label.

    Returns:
        (H, W) bool.
    """
    smallest = _square_extremum(labels, radius_px, torch.minimum)
    largest = _square_extremum(labels, radius_px, torch.maximum)
    band = smallest != largest
    if frame_edge_is_boundary:
        for rows in (band, band.T):
            rows[:radius_px] = True
            rows[-radius_px:] = True
    return band


def _square_extremum(labels: Tensor, radius_px: int, extremum: _Extremum) -> Tensor:
    """Extremum over the part of the (2r + 1)-square around each pixel that is in the frame."""
    for axis in (0, 1):
        pooled = labels.clone()
        length = labels.shape[axis]
        for shift in range(1, min(radius_px, length - 1) + 1):
            rest = length - shift
            low, high = pooled.narrow(axis, 0, rest), pooled.narrow(axis, shift, rest)
            extremum(low, labels.narrow(axis, shift, rest), out=low)
            extremum(high, labels.narrow(axis, 0, rest), out=high)
        labels = pooled
    return labels


def within_dilation(labels: Tensor, ground_truth: Tensor, radius_px: int) -> Tensor:
    """Mark the pixels whose label occurs in the ground truth within a square around them.

    For a pixel labelled c this says whether it lies in the dilation of the ground-truth mask of c,
    without dilating C masks: the maps are compared under every shift of the square.

    Args:
        labels: (H, W) uint8; 255 is within no dilation that matters, mask it out.
        ground_truth: (H, W) uint8.
        radius_px: radius r of the square.

    Returns:
        (H, W) bool.
    """
    height, width = labels.shape
    padded = functional.pad(ground_truth, (radius_px,) * 4, value=VOID)
    found = torch.zeros_like(labels, dtype=torch.bool)
    for top in range(2 * radius_px + 1):
        for left in range(2 * radius_px + 1):
            found |= padded[top : top + height, left : left + width] == labels
    return found
