"""Boundary bands on maps small enough to check by eye."""

import torch

from sam2vss_lib.metrics.bands import inner_band, within_dilation


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


def test_within_dilation_asks_for_the_pixels_own_label() -> None:
    truth = labels("0000200")
    prediction = labels("2222222")
    near = within_dilation(prediction, truth, 2)
    assert near.int().tolist() == [[0, 0, 1, 1, 1, 1, 1]]
    assert not within_dilation(labels("1111111"), truth, 2).any()
