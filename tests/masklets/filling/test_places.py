"""Where SAM2 is prompted again: parts and points, against what follows from their definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sam2vss_lib.masklets.filling.places import NOWHERE, inner_points, parts_of

SIZE = (9, 12)
groups = hnp.arrays(np.int64, SIZE, elements=st.sampled_from([NOWHERE, 0, 0, 0, 1]))


def depth_px(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of every pixel to the nearest outside of a mask or frame, looking at all of them."""
    around = np.pad(mask, 1)
    outside = np.argwhere(~around)
    found = np.zeros(around.shape)
    for place in np.argwhere(around):
        found[tuple(place)] = np.sqrt(((outside - place) ** 2).sum(1).min())
    return found[1:-1, 1:-1]


@given(groups, st.integers(1, 6), st.sampled_from([0.0, 1.0, 1.5, 2.0]))
def test_parts_are_of_one_group_and_points_lie_deep_inside(
    given_groups: NDArray[np.int64], min_px: int, min_depth_px: float
) -> None:
    seen = np.zeros(SIZE, int)
    for part in parts_of(given_groups, min_px, min_depth_px):
        mask = part.in_frame(SIZE)
        depth, seen = depth_px(mask), seen + mask
        assert len(np.unique(given_groups[mask])) == 1
        assert given_groups[mask][0] != NOWHERE
        assert mask.sum() >= min_px
        assert depth.max() >= min_depth_px
        points = inner_points(part, SIZE, 6, min_depth_px)
        x, y = np.floor(points).astype(int).T
        assert depth[y[0], x[0]] == depth.max()
        assert (depth[y, x] >= max(min_depth_px, depth.max() / 3)).all()
        assert np.array_equal(inner_points(part, SIZE, 0, min_depth_px), points[:1])
    assert seen.max() <= 1


def test_every_large_part_is_found_alone() -> None:
    left = np.full((20, 30), NOWHERE)
    left[2:9, 3:12] = 0  # of two labels, side by side
    left[2:9, 12:20] = 1
    left[12:14, :] = 0  # too shallow
    left[17, 17] = 0  # too small
    found = [part.in_frame((20, 30)) for part in parts_of(left, 5, 1.5)]
    assert [(int(m.sum()), *np.unique(left[m])) for m in found] == [(63, 0), (56, 1)]


def test_a_grid_prompts_as_densely_as_it_is() -> None:
    (part,) = parts_of(np.zeros((64, 64), int), 1, 1)
    assert len(inner_points(part, (64, 64), 16, 1)) == 1 + 11 * 11  # a third of 32 px from edges
    assert inner_points(part, (64, 64), 0, 1).tolist() == [[31.5, 31.5]]


def test_nothing_is_left() -> None:
    assert [*parts_of(np.full(SIZE, NOWHERE), 0, 0)] == []
