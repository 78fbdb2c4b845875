"""Run lengths made from runs are those of pycocotools, to the byte."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco

from sam2vss_lib.masklets.rows import encode_masks, run_columns
from sam2vss_lib.masklets.runs import (
    Runs,
    decode_runs,
    encode_runs,
    no_runs,
    runs_of_changes,
    runs_of_owners,
)

side = st.integers(1, 12)
some_masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 4), side, side))


def changes(masks: NDArray[np.bool_]) -> Runs:
    """The runs of masks by the definition of a change."""
    number, height, width = masks.shape
    columns = masks.transpose(0, 2, 1).reshape(number, height * width)
    mask, place = np.nonzero(np.diff(columns, axis=1, prepend=False))
    return runs_of_changes(mask, place, number, (height, width))


@given(some_masks)
def test_run_lengths_are_those_of_pycocotools(masks: NDArray[np.bool_]) -> None:
    expected = encode_masks(masks)
    assert encode_runs(decode_runs(expected, *masks.shape[1:])) == expected
    assert encode_runs(changes(masks)) == expected


@given(some_masks)
def test_areas_and_boxes_are_those_of_pycocotools(masks: NDArray[np.bool_]) -> None:
    table, rles = run_columns(changes(masks)), encode_masks(masks)
    stored: Any = [{"size": list(masks.shape[1:]), "counts": rle} for rle in rles]
    boxes = np.stack([table[name].to_numpy() for name in "xywh"], 1)
    assert table["rle"].to_pylist() == rles
    assert table["area"].to_pylist() == masks.sum((1, 2)).tolist()
    assert np.array_equal(boxes, coco.toBbox(stored))
    assert table["area"].type == pa.int32()


@given(st.data())
def test_a_map_of_owners_gives_each_its_mask(data: st.DataObject) -> None:
    count, shape = data.draw(st.integers(0, 4)), data.draw(st.tuples(side, side))
    owners = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, count)))
    columns = owners.T.reshape(-1)
    place = np.flatnonzero(np.diff(columns, prepend=count))
    runs = runs_of_owners(place, columns[place], count, shape)
    assert encode_runs(runs) == encode_masks(owners == np.arange(count)[:, None, None])


@pytest.mark.parametrize("size_px", [(1, 1), (480, 853), (5000, 8000)])
def test_numbers_of_any_length(size_px: tuple[int, int]) -> None:
    """From one character to six, rising and falling; and masks of nothing and of everything."""
    pixels, rng = size_px[0] * size_px[1], np.random.default_rng(0)
    lengths = rng.permutation((2 ** np.linspace(0, np.log2(pixels / 8) - 3, 40)).astype(np.int64))
    ends = np.cumsum(np.append(lengths, 1))
    ends = ends[ends <= pixels]
    even = ends[: len(ends) // 2 * 2]
    starts = np.concatenate([even[0::2], [0], [0]])
    stops = np.concatenate([even[1::2], [pixels], [1]])
    counts = np.array([len(even) // 2, 1, 0, 1])
    runs = Runs(starts, stops, counts, size_px)
    stored: Any = [
        {"size": list(size_px), "counts": np.diff(bounds, prepend=0).tolist()}
        for bounds in ([*even, pixels], [0, pixels], [pixels], [0, 1, pixels])
    ]
    for one in stored:  # as the COCO tools have it: no run of nothing at the end
        one["counts"] = one["counts"][: len(one["counts"]) - (one["counts"][-1] == 0)]
    expected: Any = coco.frPyObjects(stored, *size_px)
    assert encode_runs(runs) == [rle["counts"] for rle in expected]


def test_no_masks_and_empty_ones() -> None:
    assert encode_runs(no_runs(0, (3, 4))) == []
    assert encode_runs(no_runs(2, (3, 4))) == encode_masks(np.zeros((2, 3, 4), bool))
