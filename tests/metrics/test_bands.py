"""Boundary bands on maps small enough to check by eye."""

import numpy as np
import pytest
import torch

from sam2vss_lib.metrics.bands import dilations_around, inner_band


def labels(*rows: str) -> torch.Tensor:
    return torch.tensor([[int(c) for c in row] for row in rows], dtype=torch.uint8)


def test_band_lies_on_both_sides_of_an_outline_and_not_along_the_frame() -> None:
    row = labels("0000011111")
    assert inner_band(row, 2).int().tolist() == [[0, 0, 0, 1, 1, 1, 1, 0, 0, 0]]


def test_square_kernel_reaches_diagonal_neighbours() -> None:
    corner = labels("1000", "0000", "0000", "0000")
    assert inner_band(corner, 1).int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_frame_edge_can_be_a_boundary() -> None:
    flat = torch.zeros(5, 6, dtype=torch.uint8)
    assert not inner_band(flat, 1).any()
    edge = inner_band(flat, 1, frame_edge_is_boundary=True)
    assert not edge[1:-1, 1:-1].any()
    assert edge.sum() == 5 * 6 - 3 * 4


def test_radius_beyond_the_frame_covers_all_of_it() -> None:
    assert inner_band(labels("01", "00"), 7).all()
    assert not inner_band(labels("11", "11"), 7).any()


def test_input_is_left_alone() -> None:
    row = labels("0011")
    inner_band(row, 2)
    assert row.tolist() == [[0, 0, 1, 1]]


def test_dilations_are_asked_for_by_the_pixels_own_label() -> None:
    truth = labels("0000200")
    prediction = labels("2222222")
    everywhere = torch.ones_like(truth, dtype=torch.bool)
    near = dilations_around(prediction.flatten(), everywhere, truth, (1, 2))
    assert near.tolist() == [0, 0, 1, 2, 2, 2, 1]
    others = dilations_around(labels("1111111").flatten(), everywhere, truth, (1, 2))
    assert not others.any()


@pytest.mark.parametrize("num_classes", [5, 12, 30, 60, 124, 255])
def test_bands_and_dilations_equal_the_loop_over_pixels(num_classes: int) -> None:
    """Whatever the number of classes, whose sets have 8 to 64 bits, or need several."""
    random = np.random.default_rng(num_classes)
    truth, prediction = random.integers(0, num_classes, (2, 9, 13), np.uint8)
    truth[2:7, 3:9] = 1
    asked = random.random(truth.shape) < 0.8
    radii_px = (3, 1)
    found = np.zeros_like(truth)
    labels_asked, at, around = map(torch.from_numpy, (prediction[asked], asked, truth))
    found[asked] = dilations_around(labels_asked, at, around, radii_px)
    for y, x in np.ndindex(truth.shape):
        squares = [truth[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1] for r in radii_px]
        near = sum(int((square == prediction[y, x]).any()) for square in squares)
        assert found[y, x] == (near if asked[y, x] else 0)
        for r, square in zip(radii_px, squares, strict=True):
            assert inner_band(torch.from_numpy(truth), r)[y, x] == (square != truth[y, x]).any()
