"""Distances to ground-truth boundaries: exact, by brute force over all pairs of pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sam2vss_lib.metrics import VOID
from sam2vss_lib.metrics.boundary_distance import (
    BIN_STARTS_PX,
    distance_bins,
    squared_distance,
)
from tests.metrics.clips import random_clip

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def brute_distances(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W) distance to the nearest pixel with another label among its eight neighbours."""
    height, width = labels.shape
    boundary = np.array(
        [
            (y, x)
            for y in range(height)
            for x in range(width)
            if len(np.unique(labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2])) > 1
        ]
    )
    nearest = np.full(labels.shape, np.inf)
    for place in np.ndindex(labels.shape) if len(boundary) else ():
        nearest[place] = np.hypot(*(boundary - place).T).min()
    return nearest


def brute_bins(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    distances = brute_distances(labels)
    bins = np.digitize(np.round(distances, 9), BIN_STARTS_PX) - 1
    return np.where((labels == VOID) | np.isinf(distances), VOID, bins)


@given(SHAPES.flatmap(lambda shape: arrays(np.bool_, shape)), st.integers(1, 12))
def test_squared_distance_is_the_brute_minimum_up_to_its_limit(
    marked: NDArray[np.bool_], limit_px: int
):
    found = squared_distance(torch.from_numpy(marked), limit_px)
    for (y, x), square in np.ndenumerate(found.numpy()):
        every = [(y - i) ** 2 + (x - j) ** 2 for i, j in np.argwhere(marked)]
        assert square == min([*every, limit_px**2])


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255]))))
def test_bins_are_those_of_brute_distances(labels: NDArray[np.uint8]):
    assert np.array_equal(distance_bins(torch.from_numpy(labels)).numpy(), brute_bins(labels))


def test_bins_of_larger_maps_reach_every_distance():
    labels = np.zeros((45, 50), np.uint8)
    labels[4:, :6] = 1
    labels[:3, 40:] = VOID
    bins = distance_bins(torch.from_numpy(labels)).numpy()
    assert np.array_equal(bins, brute_bins(labels))
    assert set(np.unique(bins)) == {*range(len(BIN_STARTS_PX)), VOID}
    (_, _, truth) = random_clip(np.random.default_rng(0), 3, 5)[1]
    assert np.array_equal(distance_bins(torch.from_numpy(truth)).numpy(), brute_bins(truth))


def test_a_map_of_one_label_has_no_boundary_to_be_near():
    assert (distance_bins(torch.zeros((4, 5), dtype=torch.uint8)) == VOID).all()


@pytest.mark.parametrize("width", [1, 100])
def test_the_last_bin_is_open(width: int):
    labels = torch.zeros((1, width + 1), dtype=torch.uint8)
    labels[0, 0] = 1
    bins = distance_bins(labels)[0]
    assert bins[0] == bins[1] == 0
    assert int(bins[-1]) == (0 if width == 1 else len(BIN_STARTS_PX) - 1)
