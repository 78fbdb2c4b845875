"""Where to prompt: the connected parts of what is left, and points deep inside of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.utils.amg import build_point_grid

from sam2vss_lib.metrics.boundary_distance import squared_distance
from sam2vss_lib.metrics.fragments import connected

NOWHERE = -1  # the group of pixels that are not asked about
_DEEPEST_PX = 64  # from here on depths are not told apart


class Part(NamedTuple):
    """A connected part."""

    top_left: tuple[int, int]  # row and column of its box
    mask: NDArray[np.bool_]  # (h, w) within its box
    depth_px: NDArray[np.float64]  # (h, w) to the nearest pixel that is not of it

    @property
    def innermost_xy(self) -> NDArray[np.float64]:
        """(2,) middle of the pixel that is deepest inside, the first among equals."""
        row, column = np.unravel_index(self.depth_px.argmax(), self.depth_px.shape)
        return np.array([self.top_left[1] + column + 0.5, self.top_left[0] + row + 0.5])

    def in_frame(self, size_px: tuple[int, int]) -> NDArray[np.bool_]:
        """The part as a mask of the frame, (H, W)."""
        whole = np.zeros(size_px, bool)
        (top, left), (height, width) = self.top_left, self.mask.shape
        whole[top : top + height, left : left + width] = self.mask
        return whole


def parts_of(groups: NDArray[Any], min_px: float, min_depth_px: float) -> Iterator[Part]:
    """The connected parts of pixels of one group, (H, W), that are large and deep enough.

    What lies outside the frame is taken as covered, so that points keep away from the frame's edge.
    """
    rows, columns = np.nonzero(groups != NOWHERE)
    number = connected(rows, columns, groups[rows, columns])
    order = np.argsort(number, kind="stable")
    for own in np.split(order, np.cumsum(np.bincount(number))[:-1]) if len(order) else []:
        if len(own) < min_px:
            continue
        y, x = rows[own], columns[own]
        top, left = int(y.min()), int(x.min())
        outside = np.ones((int(y.max()) - top + 3, int(x.max()) - left + 3), bool)
        outside[y - top + 1, x - left + 1] = False
        squares = squared_distance(torch.from_numpy(outside), _DEEPEST_PX).numpy()
        depth = np.sqrt(squares[1:-1, 1:-1].astype(float))
        if depth.max() >= min_depth_px:
            yield Part((top, left), ~outside[1:-1, 1:-1], depth)


def inner_points(
    part: Part, size_px: tuple[int, int], points_per_side: int, min_depth_px: float
) -> NDArray[np.float64]:
    """(n, 2) points in pixels: the innermost, and those of the frame's grid that are deep inside.

    That is at least a third as deep as the innermost, and `min_depth_px`. A grid of 0 points a side
    has none.
    """
    if not points_per_side:
        return part.innermost_xy[None]
    grid = build_point_grid(points_per_side) * np.array(size_px[::-1])
    x, y = np.floor(grid).astype(int).T
    row, column = y - part.top_left[0], x - part.top_left[1]
    height, width = part.mask.shape
    there = np.flatnonzero((row >= 0) & (row < height) & (column >= 0) & (column < width))
    depth = part.depth_px[row[there], column[there]]
    deep = there[depth >= max(min_depth_px, part.depth_px.max() / 3)]
    return np.concatenate([part.innermost_xy[None], grid[deep]])
