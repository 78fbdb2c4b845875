"""The rows of the masklet store: masks as run lengths, and what is kept beside them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pycocotools import mask as coco

from sam2vss_lib.masklets.runs import Runs, decode_runs, encode_runs, pixels_of_runs

Table: TypeAlias = Any  # a pyarrow.Table; pyarrow ships no types
#: one row per masklet and frame, empty masks included; `rle_visible` holds the pixels of `rle` at
#: which no other masklet of the window has a larger logit (the `logit` overlap rule); of masklets
#: that fill what others left, those among them that none of the others covers
SCHEMA = pa.schema(
    [
        *((name, pa.int32()) for name in ("window", "anchor", "masklet", "frame")),
        ("rle", pa.binary()),
        *((name, pa.int32()) for name in ("height", "width", "area", "x", "y", "w", "h")),
        *((name, pa.float32()) for name in ("predicted_iou", "stability", "object_score")),
        ("rle_visible", pa.binary()),
    ]
)
#: what only our own files hold: the format does not ask for it, one overlap rule does
OPTIONAL_COLUMNS = frozenset({"rle_visible"})
_ROWS_AT_ONCE = 256  # of run lengths that are checked


def encode_masks(masks: NDArray[np.bool_]) -> list[bytes]:
    """COCO compressed run lengths of (n, H, W) masks."""
    columns = np.asfortranarray(np.moveaxis(masks, 0, -1).astype(np.uint8))
    return [rle["counts"] for rle in cast(list[dict[str, bytes]], coco.encode(columns))]


def decode_masks(rles: Sequence[bytes], height: int, width: int) -> NDArray[np.bool_]:
    """The inverse of `encode_masks`; returns (n, height, width)."""
    if not rles:
        return np.zeros((0, height, width), np.bool_)
    decoded = coco.decode(_with_size(rles, height, width))
    return np.ascontiguousarray(np.moveaxis(decoded, -1, 0)).astype(np.bool_)


def _with_size(rles: Sequence[bytes], height: int, width: int) -> Any:
    """Run lengths as pycocotools takes them."""
    return [{"size": [height, width], "counts": rle} for rle in rles]


def mask_areas(rles: Sequence[bytes], height: int, width: int) -> NDArray[np.int64]:
    """Pixels of each mask, (n,), counted on the run lengths."""
    # pycocotools puts the number of masks into a uint8, which numpy 2 refuses to overflow
    parts = [rles[start : start + 255] for start in range(0, len(rles), 255)]
    areas = [np.asarray(coco.area(_with_size(part, height, width)), np.int64) for part in parts]
    return np.concatenate([np.zeros(0, np.int64), *areas])


def mask_columns(masks: NDArray[np.bool_]) -> Table:
    """The columns of (n, H, W) masks that follow from the masks alone; n > 0."""
    return run_columns(decode_runs(encode_masks(masks), masks.shape[1], masks.shape[2]))


def run_columns(runs: Runs) -> Table:
    """The columns of n > 0 masks that follow from their runs alone."""
    count, (height, width) = len(runs.counts), runs.size_px
    mask = np.repeat(np.arange(count), runs.counts)
    (left, top), (right, bottom) = (divmod(at, height) for at in (runs.starts, runs.stops - 1))
    # a run that goes on in another column has been at the bottom of one and at the top of the next
    top[left < right], bottom[left < right] = 0, height - 1
    low, high = (np.full((2, count), value) for value in (max(height, width), -1))
    for at, ends in zip((left, top), low, strict=True):
        np.minimum.at(ends, mask, at)
    for at, ends in zip((right, bottom), high, strict=True):
        np.maximum.at(ends, mask, at)
    x, y = np.where(runs.counts > 0, low, 0)
    w, h = np.where(runs.counts > 0, high + 1 - low, 0)
    columns = {
        "rle": encode_runs(runs),
        "height": np.full(count, height),
        "width": np.full(count, width),
        "area": np.bincount(mask, runs.stops - runs.starts, count).astype(np.int32),
        **{"x": x, "y": y, "w": w, "h": h},
    }
    return pa.table(columns, schema=pa.schema([SCHEMA.field(name) for name in columns]))


def checked_rows(table: Table, frames: int) -> Table:
    """The rows of a clip's file in the order and types of `SCHEMA`, without columns of other names.

    A program may have written them in any order, with numbers of any width; then they are ordered
    by window, then frame, then masklet. `OPTIONAL_COLUMNS` are there only if they were.

    Raises:
        ValueError: a column is missing, has a gap or another type, sizes differ, a frame lies
            outside the clip, a window lacks rows of some of its masklets, or run lengths are not
            those of a mask of the row's size and area; rows are counted from 0, as in the file.
    """
    present = set(table.column_names)
    if lacking := [n for n in SCHEMA.names if n not in present | OPTIONAL_COLUMNS]:
        raise ValueError(f"no column {lacking[0]!r}")
    schema = pa.schema([field for field in SCHEMA if field.name in present])
    table = table.select(schema.names).replace_schema_metadata(None)
    for name in schema.names:
        if table[name].null_count:
            raise ValueError(f"column {name!r} has empty cells")
    try:
        table = table.cast(schema)
    except pa.ArrowException as error:
        raise ValueError(f"columns of other types: {error}") from None
    for name in ("height", "width"):
        if len(sizes := np.unique(table[name].to_numpy())) > 1:
            raise ValueError(f"masks of {name} {sizes[0]} and {sizes[1]}")
        if len(sizes) and sizes[0] < 1:
            raise ValueError(f"masks of {name} {sizes[0]}")
    _check_runs(table)
    window, frame, masklet = (table[name].to_numpy() for name in ("window", "frame", "masklet"))
    order = np.lexsort((masklet, frame, window))
    if (np.diff(order) != 1).any():
        table = table.take(order)
        window, frame, masklet = window[order], frame[order], masklet[order]
    if len(frame) and not 0 <= frame.min() <= frame.max() < frames:
        raise ValueError(f"frames {frame.min()} to {frame.max()} in a clip of {frames}")
    same = [np.diff(column) == 0 for column in (window, frame, masklet)]
    if np.logical_and.reduce(same).any():
        raise ValueError("two rows of one masklet on one frame")
    bounds = [0, *(np.flatnonzero(~same[0]) + 1).tolist(), len(window)] if len(window) else []
    for start, end in pairwise(bounds):
        frames_in, masklets_in = (len(np.unique(c[start:end])) for c in (frame, masklet))
        if frames_in * masklets_in != end - start:
            raise ValueError(
                f"window {window[start]} has {end - start} rows of {masklets_in} masklets on "
                f"{frames_in} frames; every masklet has a row on every frame, empty or not"
            )
    return table


def _check_runs(table: Table) -> None:
    """Check the run lengths of all rows before anything decodes them: pycocotools checks nothing.

    Raises:
        ValueError: those of a row are not of as many pixels as the row has, or is said to cover.
    """
    for name in OPTIONAL_COLUMNS.intersection(table.column_names) | {"rle"}:
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            rows = table.slice(start, _ROWS_AT_ONCE)
            height, width = rows["height"][0].as_py(), rows["width"][0].as_py()
            covered = pixels_of_runs(rows[name].to_pylist(), height * width)
            if (wrong := np.flatnonzero(covered < 0)).size:
                raise ValueError(
                    f"row {start + int(wrong[0])}: {name!r} holds no run lengths of "
                    f"{height} x {width} pixels"
                )
            areas = rows["area"].to_numpy()
            if name == "rle" and (wrong := np.flatnonzero(covered != areas)).size:
                row = int(wrong[0])
                raise ValueError(
                    f"row {start + row}: area {areas[row]}, but its mask has {covered[row]} pixels"
                )
