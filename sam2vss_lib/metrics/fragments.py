"""Connected pixels of a group."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


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
        joined = np.flatnonzero((beside >= 0) & (groups[beside] == groups))
        some.append(joined)
        others.append(beside[joined])
    one, other = np.concatenate(some), np.concatenate(others)
    touching = coo_array((np.ones(len(one), np.bool_), (one, other)), (len(rows), len(rows)))
    _, part = connected_components(touching, directed=False)
    return part.astype(np.intp)  # numbered by their first pixels
