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
    across = int(columns.max()) + 3  # with an empty edge
    place = (rows.astype(np.intp) + 1) * across + columns + 1
    # side by side in a row and of one group: what follows is about these runs
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (place[1:] != place[:-1] + 1) | (groups[1:] != groups[:-1])
    run = np.cumsum(begins) - 1
    first, last = place[begins], place[np.append(begins[1:], True)]
    owner = np.full((int(rows.max()) + 3) * across, -1, np.int32)
    owner[place] = run
    group, every = groups[begins], np.arange(len(first))
    some, others = list[NDArray[np.intp]](), list[NDArray[np.intp]]()
    for one, beside in (
        (every, last + 1),
        (run, place + across),
        (every, first + across - 1),
        (every, last + across + 1),
    ):
        other = owner.take(beside)
        joined = np.flatnonzero((other >= 0) & (group.take(other) == group.take(one)))
        some.append(one[joined])
        others.append(other[joined].astype(np.intp))
    one, other = np.concatenate(some), np.concatenate(others)
    touching = coo_array((np.ones(len(one), np.bool_), (one, other)), (len(first), len(first)))
    _, part = connected_components(touching, directed=False)
    return part.astype(np.intp).take(run)  # numbered by their first pixels
