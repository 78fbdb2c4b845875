"""Connected pixels of a group."""

import numpy as np
from numpy.typing import NDArray


def connected(
    rows: NDArray[np.integer], columns: NDArray[np.integer], groups: NDArray[np.integer]
) -> NDArray[np.intp]:
    """Number the connected parts of each group of pixels, corners connecting too.

    Args:
        rows: (n,) row of every pixel.
        columns: (n,) column of every pixel; no pixel is given twice.
        groups: (n,) the group of every pixel.

    Returns:
        (n,) number of every pixel's part, from 0 on.
    """
    if not len(rows):
        return np.zeros(0, np.intp)
    places = np.full((int(rows.max()) + 3, int(columns.max()) + 3), -1)  # with an empty edge
    places[rows + 1, columns + 1] = np.arange(len(rows))
    some, others = list[NDArray[np.intp]](), list[NDArray[np.intp]]()
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        beside = places[rows + 1 + down, columns + 1 + right]
        touching = np.flatnonzero((beside >= 0) & (groups[beside] == groups))
        some.append(touching)
        others.append(beside[touching])
    one, other = np.concatenate(some), np.concatenate(others)
    part = np.arange(len(rows))
    while True:  # every part is told the lowest number of those that it touches
        lowest = np.minimum(part[one], part[other])
        told = part.copy()
        np.minimum.at(told, part[one], lowest)
        np.minimum.at(told, part[other], lowest)
        told = told[told]
        if np.array_equal(told, part):
            return np.unique(part, return_inverse=True)[1]
        part = told
