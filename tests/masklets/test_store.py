"""The masklet store: its contract, its round trips, and one clear line for every bad file."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.rows import decode_masks, encode_masks
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.common import METADATA, forget_what_is_ours, read_plainly, write_masklets

CONTRACT = {
    **dict.fromkeys(["window", "anchor", "masklet", "frame"], np.int32),
    **dict.fromkeys(["height", "width", "area", "x", "y", "w", "h"], np.int32),
    **dict.fromkeys(["predicted_iou", "stability", "object_score"], np.float32),
}
SIZE = (5, 7)  # (height, width)
side = st.integers(1, 6)


def random_masks(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random((*shape, *SIZE)) < 0.4


@pytest.fixture
def store(tmp_path: Path) -> MaskletStore:
    """A clip of 5 frames: a window of 2 with 3 masklets, one without any, a last one of 1 with 2.

    Masklet 1 is empty on frame 1.
    """
    windows = [random_masks(1, 2, 3), random_masks(2, 2, 0), random_masks(3, 1, 2)]
    windows[0][1, 1] = False
    scores = [np.linspace(0, 1, 2 * w.shape[1], dtype=np.float32).reshape(2, -1) for w in windows]
    store = MaskletStore(tmp_path / "store")
    write_masklets(store, "clip", windows, scores)
    return store


@given(hnp.arrays(np.bool_, st.tuples(side, side, side)))
def test_run_lengths_hold_every_mask(masks: np.ndarray) -> None:
    _, height, width = masks.shape
    assert np.array_equal(decode_masks(encode_masks(masks), height, width), masks)


def test_no_masks_are_of_the_right_shape_too() -> None:
    assert decode_masks([], 3, 4).shape == (0, 3, 4)


def test_anyone_reads_the_contract_with_pandas_and_pycocotools(store: MaskletStore) -> None:
    rows, masks = read_plainly(store.path("clip"))
    assert {name: rows[name].dtype for name in CONTRACT} == CONTRACT
    assert set(rows) - set(CONTRACT) == {"rle", "rle_visible"}
    assert rows["frame"].tolist() == [0, 0, 0, 1, 1, 1, 4, 4]
    assert rows["window"].tolist() == [0, 0, 0, 0, 0, 0, 2, 2]
    assert rows["anchor"].tolist() == [0, 0, 0, 0, 0, 0, 4, 4]
    assert rows["masklet"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    expected = [*random_masks(1, 2, 3).reshape(6, *SIZE), *random_masks(3, 1, 2)[0]]
    expected[4] = np.zeros(SIZE, bool)
    assert np.array_equal(masks["rle"], expected)
    found = rows[["area", "x", "y", "w", "h"]].to_numpy().tolist()
    for row, mask in zip(found, expected, strict=True):
        ys, xs = np.nonzero(mask)
        box = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1) if len(xs) else (0, 0, 0, 0)
        assert row == [mask.sum(), *box]


def test_metadata_keys_of_the_contract(store: MaskletStore) -> None:
    schema = pq.read_schema(store.path("clip"))
    stored = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert json.loads(stored["settings"]) == METADATA["settings"]
    assert stored["settings_sha256"] == METADATA["settings_sha256"]
    assert stored["checkpoint_sha256"] == METADATA["checkpoint_sha256"]
    assert (stored["clip"], stored["frames"], stored["format_version"]) == ("clip", "5", "1")
    assert store.metadata("clip") == {**METADATA, "clip": "clip", "frames": 5}


def test_file_is_compressed_by_zstd(store: MaskletStore) -> None:
    group = pq.ParquetFile(store.path("clip")).metadata.row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}


def test_windows_hold_their_frames_in_order(store: MaskletStore) -> None:
    clip = store.read("clip")
    assert clip.num_frames == 5
    windows = list(clip.windows())
    assert [[part.frame for part in window] for window in windows] == [[0, 1], [4]]
    assert np.array_equal(windows[1][0].masks(), random_masks(3, 1, 2)[0])
    assert windows[1][0].values("stability").tolist() == pytest.approx([2 / 3, 1])


def test_clip_without_any_masklet(tmp_path: Path) -> None:
    store = MaskletStore(tmp_path)
    write_masklets(store, "bare", [random_masks(1, 3, 0)], [np.zeros((2, 0), np.float32)])
    clip = store.read("bare")
    assert clip.num_frames == 3
    assert list(clip.windows()) == []
    assert pd.read_parquet(store.path("bare")).empty


def test_interrupted_write_leaves_nothing(store: MaskletStore) -> None:
    metadata = {**METADATA, "clip": "other", "frames": 1}
    with pytest.raises(KeyboardInterrupt), store.writer("other", metadata):
        raise KeyboardInterrupt
    assert sorted(p.name for p in store.root.iterdir()) == ["clip.parquet", "clip.parquet.sha256"]


def refused(store: MaskletStore, *words: str) -> None:
    """Reading fails with one line that names the file and says `words`."""
    with pytest.raises(DataError) as caught:
        store.read("clip")
    line = str(caught.value)
    assert line.startswith(f"{store.path('clip')}: ")
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_missing_file(tmp_path: Path) -> None:
    refused(MaskletStore(tmp_path), "no masklets of clip clip", "run sam2vss masklets")


@pytest.mark.parametrize("kept", [0, 10, 2000])
def test_truncated_file(store: MaskletStore, kept: int) -> None:
    data = store.path("clip").read_bytes()
    assert len(data) > kept
    store.path("clip").write_bytes(data[:kept])
    refused(store, "no masklet file", "move it away")


def test_damaged_rows(store: MaskletStore) -> None:
    data = bytearray(store.path("clip").read_bytes())
    data[4:400] = bytes(396)  # after the magic number: the first columns' pages
    store.path("clip").write_bytes(data)
    refused(store, "changed since it was written", "clip.parquet.sha256", "move both away")
    store.checksum_path("clip").unlink()
    refused(store, "damaged masklet file", "move it away")


def test_checksum_is_that_of_the_file_and_sha256sum_reads_it(store: MaskletStore) -> None:
    run = ["sha256sum", "--check", "--strict", store.checksum_path("clip").name]
    assert subprocess.run(run, cwd=store.root, check=False).returncode == 0


def test_any_changed_bit_is_found(store: MaskletStore) -> None:
    data = store.path("clip").read_bytes()
    bits = np.random.default_rng(0).choice(8 * len(data), 64, replace=False).tolist()
    for bit in bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        store.path("clip").write_bytes(changed)
        with pytest.raises(DataError):
            store.read("clip")
    store.path("clip").write_bytes(data)
    assert store.read("clip").num_frames == 5


def test_checksum_without_its_file_means_nothing(store: MaskletStore) -> None:
    store.path("clip").unlink()
    refused(store, "no masklets of clip clip")
    with store.writer("clip", {**METADATA, "clip": "clip", "frames": 5}):
        pass
    assert store.read("clip").num_frames == 5


def test_parquet_of_something_else(store: MaskletStore) -> None:
    pq.write_table(pa.table({"a": [1]}), store.path("clip"))
    refused(store, "no metadata 'format_version'", "move it away")


def test_other_format_version(store: MaskletStore) -> None:
    table = pq.read_table(store.path("clip"))
    metadata = {**table.schema.metadata, b"format_version": b"2"}
    pq.write_table(table.replace_schema_metadata(metadata), store.path("clip"))
    refused(store, "format version 2, this program reads 1", "move it away")


def test_file_of_another_program(store: MaskletStore) -> None:
    expected = store.read("clip")
    forget_what_is_ours(store.path("clip"))
    table = pq.read_table(store.path("clip"))
    names = table.column_names[::-1]
    shuffled = table.take(np.random.default_rng(1).permutation(len(table))).select(names)
    wide = shuffled.set_column(
        names.index("frame"), "frame", shuffled["frame"].cast(pa.int64())
    ).append_column("note", pa.array(["theirs"] * len(table)))
    pq.write_table(wide.replace_schema_metadata(table.schema.metadata), store.path("clip"))
    read = store.read("clip")
    assert read.table.equals(expected.table.drop_columns(["rle_visible"]))
    kept = expected.metadata.keys() - {"config_sha256", "frames_sha256"}
    assert read.metadata == {key: expected.metadata[key] for key in kept}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop_columns(["h"]), "no column 'h'"),
        (lambda t: replaced(t, "rle", pa.array([1.5] * len(t))), "columns of other types"),
        (lambda t: replaced(t, "x", pa.array([None] * len(t), pa.int32())), "'x' has empty cells"),
        (
            lambda t: replaced(t, "frame", pa.array(t["frame"].to_numpy() + 1)),
            "frames 1 to 5 in a clip of 5",
        ),
        (lambda t: replaced(t, "width", t["frame"]), "masks of width 0 and 1"),
        (lambda t: t.slice(1), "window 0 has 5 rows of 3 masklets on 2 frames"),
        (lambda t: pa.concat_tables([t, t.slice(3, 1)]), "two rows of one masklet on one frame"),
    ],
)
def test_rows_that_are_no_masklets(
    store: MaskletStore, change: Callable[[Any], Any], words: str
) -> None:
    path = store.path("clip")
    pq.write_table(change(pq.read_table(path)), path)
    store.checksum_path("clip").unlink()
    refused(store, words, "move it away")


def plain_decoder(counts: bytes, height: int, width: int) -> np.ndarray | None:
    """COCO's compressed run lengths, number by number; None where they are of no such mask."""
    numbers: list[int] = []
    characters = [byte - 48 for byte in counts]
    while characters:
        value = length = 0
        while True:
            if not characters or not 0 <= characters[0] < 64:
                return None
            part = characters.pop(0)
            value, length = value | (part & 31) << 5 * length, length + 1
            if part < 32:
                break
        if length > 6:  # more pixels than any frame has
            return None
        value -= (part & 16 > 0) << 5 * length
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
    if sum(numbers) != height * width or min(numbers, default=0) < 0:
        return None
    flat = np.repeat(np.arange(len(numbers)) % 2 == 1, numbers)
    return flat.reshape(width, height).T


def coded(*numbers: int) -> bytes:
    """Run lengths as they are written, right or wrong: differences from the fourth number on."""
    found = bytearray()
    for place, number in enumerate(numbers):
        value = number - (numbers[place - 2] if place > 2 else 0)
        while True:
            part, value = value & 31, value >> 5
            more = value != (-1 if part & 16 else 0)
            found.append(48 + part + 32 * more)
            if not more:
                break
    return bytes(found)


def with_runs(store: MaskletStore, row: int, counts: bytes, column: str = "rle") -> Any:
    """The store's file as a foreign one, with other run lengths in a row, and the area of these."""
    path = store.path("clip")
    table = pq.read_table(path)
    values, areas = table[column].to_pylist(), table["area"].to_pylist()
    values[row] = counts
    mask = plain_decoder(counts, *SIZE)
    if column == "rle" and mask is not None:
        areas[row] = int(mask.sum())
    table = replaced(table, column, pa.array(values, pa.binary()))
    pq.write_table(replaced(table, "area", pa.array(areas, pa.int32())), path)
    store.checksum_path("clip").unlink(missing_ok=True)
    return mask


pieces = st.one_of(
    st.binary(max_size=12),
    st.lists(st.integers(48, 111), max_size=12).map(bytes),
    st.lists(st.integers(-3, 36), max_size=6).map(lambda runs: coded(*runs)),
    st.lists(st.integers(0, 9), max_size=8).map(lambda r: coded(*r, max(0, 35 - sum(r)))),
)


@given(data=st.data())
def test_any_bytes_give_the_mask_that_they_stand_for_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = MaskletStore(tmp_path_factory.mktemp("store"))
    scores = [np.zeros((2, 3), np.float32)]
    write_masklets(store, "clip", [random_masks(1, 2, 3)], scores)
    row, counts = data.draw(st.integers(0, 5)), data.draw(pieces)
    mask = with_runs(store, row, counts)
    if mask is None:
        refused(store, f"clip clip, row {row}: 'rle' holds no run lengths of 5 x 7 pixels")
    else:
        (window,) = store.read("clip").windows()
        assert np.array_equal(window[row // 3].masks()[row % 3], mask)


@pytest.mark.parametrize("column", ["rle", "rle_visible"])
@pytest.mark.parametrize(
    "counts",
    [
        b"",
        b"P",  # cut short within a number
        coded(35)[:-1],
        b"no run lengths",
        bytes([255, 0, 128]),
        coded(34),
        coded(36),
        coded(10, 26, -1),
        coded(-1, 36),
        coded(2**32, 35 - 2**32),
        coded(0, 35) + b"\0",
    ],
)
def test_run_lengths_of_no_mask(store: MaskletStore, column: str, counts: bytes) -> None:
    with_runs(store, 4, counts, column)
    refused(store, f"clip clip, row 4: '{column}' holds no run lengths", "have it written anew")


def test_rows_are_counted_as_they_are_in_the_file(store: MaskletStore) -> None:
    path = store.path("clip")
    table = pq.read_table(path)
    backwards = table.take(np.arange(len(table))[::-1])
    pq.write_table(replaced(backwards, "area", backwards["window"]), path)
    store.checksum_path("clip").unlink()
    refused(store, f"row 0: area 2, but its mask has {backwards['area'][0].as_py()} pixels")


@pytest.mark.parametrize("size", [0, -5])
def test_masks_have_a_size(store: MaskletStore, size: int) -> None:
    table = pq.read_table(store.path("clip"))
    sizes = pa.array([size] * len(table), pa.int32())
    pq.write_table(replaced(table, "height", sizes), store.path("clip"))
    store.checksum_path("clip").unlink()
    refused(store, f"masks of height {size}")


def replaced(table: Any, name: str, values: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, values)
