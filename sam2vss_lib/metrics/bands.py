"""Boundary bands of label maps: flat square morphology on all classes at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sam2vss_lib.metrics.iou import pixels_in

_BITS = 15  # of an int16 without its sign: wider sets take as much longer


def inner_band(labels: Tensor, radius_px: int, frame_edge_is_boundary: bool = False) -> Tensor:
    """Mark the pixels, (H, W) bool, in the inner boundary band of their own label's region.

    The band of a region M is M minus its erosion with a square of 2r + 1 pixels. A pixel survives
    the erosion iff the square around it holds its label alone: no row of it has a change, and
    neither has its middle column. So one search for changes serves all labels.

    Labels are (H, W) uint8, of which 255 is like any other here; what lies outside the frame counts
    as another label if `frame_edge_is_boundary`.
    """
    changes = 2 * _in_frame(radius_px, labels)  # along a side of the square
    band = _union(labels[:, 1:] != labels[:, :-1], changes + 1, changes, labels.shape)
    band |= _union(labels[1:] != labels[:-1], changes, 1, labels.shape)
    if frame_edge_is_boundary:
        for rows in (band, band.T):
            rows[:radius_px] = True
            rows[-radius_px:] = True
    return band


def dilations_around(
    labels: Tensor, asked: Tensor, ground_truth: Tensor, radii_px: Sequence[int]
) -> Tensor:
    """For how many radii a label occurs in the ground truth in the square around its pixel.

    For a pixel labelled c this says which dilations of the ground-truth mask of c it lies in,
    without dilating C masks: of the classes in question each is a bit of a set, and sets are
    dilated as one.

    Args:
        labels: (n,) uint8, of the pixels that are asked for, row by row.
        asked: (H, W) bool with n pixels on.
        ground_truth: (H, W) uint8.
        radii_px: the radii r of squares of 2r + 1 pixels.

    Returns:
        (n,) uint8.
    """
    near = torch.zeros_like(labels)
    classes = np.unique(labels.cpu().numpy()).tolist()
    for some in (classes[i : i + _BITS] for i in range(0, len(classes), _BITS)):
        sets = torch.zeros(256, dtype=torch.int16)
        for bit, label in enumerate(some):
            sets[label] = 1 << bit
        sets = sets.to(labels.device)
        of_truth = sets.index_select(0, ground_truth.flatten().int()).view_as(ground_truth)
        of_label = sets.index_select(0, labels.int())
        for radius_px in radii_px:
            side = 2 * _in_frame(radius_px, asked) + 1
            around = _union(of_truth, side, side, asked.shape)
            near += (pixels_in(around, asked) & of_label) != 0
    return near


def _in_frame(radius_px: int, maps: Tensor) -> int:
    """A radius whose square holds the same pixels of the frame, however large the other is."""
    return min(radius_px, max(maps.shape))


def _union(sets: Tensor, rows: int, columns: int, size: Sequence[int]) -> Tensor:
    """The union of sets, a bit each, in every window of so many rows and columns.

    Sets are (h, w) bool or integer; empty ones are put around them, as many on both sides, so that
    there are H x W windows, as the `size` says.
    """
    (height, width), (total, stride) = size, (size[0] + rows - 1, size[1] + columns - 1)
    above, left = (total - sets.shape[0]) // 2, (stride - sets.shape[1]) // 2
    # of one dimension: windows at the end of a row run into the next row, and are left out
    flat = functional.pad(sets, (left, left, above, above)).flatten()
    for step, count in ((1, columns), (stride, rows)):
        reach = 1
        while reach < count:
            ahead = min(reach, count - reach)
            flat = flat[: -ahead * step] | flat[ahead * step :]
            reach += ahead
    return flat.as_strided((height, width), (stride, 1))
