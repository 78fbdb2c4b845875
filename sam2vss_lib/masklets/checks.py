"""Whether a masklet file, whoever wrote it, holds what the format says and fits its clip."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sam2vss_lib.datasets import Clip
from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.rows import SCHEMA, Table

if TYPE_CHECKING:
    from sam2vss_lib.masklets.store import ClipMasklets

#: what only our own files hold: the format does not ask for it, one overlap rule does
OPTIONAL_COLUMNS = frozenset({"rle_visible"})


def checked_rows(table: Table, frames: int) -> Table:
    """The rows of a file in the order and the types of `SCHEMA`, without columns of other names.

    Args:
        table: rows as a program wrote them: in any order, with numbers of any width.
        frames: frames of the clip.

    Returns:
        Rows ordered by window, then frame, then masklet; `OPTIONAL_COLUMNS` only if there.

    Raises:
        ValueError: a column is missing, has a gap or another type, sizes differ, a frame lies
            outside the clip, or a window lacks rows of some of its masklets.
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
    window, frame, masklet = (table[name].to_numpy() for name in ("window", "frame", "masklet"))
    order = np.lexsort((masklet, frame, window))
    if (np.diff(order) != 1).any():
        table = table.take(order)
        window, frame, masklet = window[order], frame[order], masklet[order]
    if len(frame) and not 0 <= frame.min() <= frame.max() < frames:
        raise ValueError(f"frames {frame.min()} to {frame.max()} in a clip of {frames}")
    for name in ("height", "width"):
        if len(sizes := np.unique(table[name].to_numpy())) > 1:
            raise ValueError(f"masks of {name} {sizes[0]} and {sizes[1]}")
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


def check_fit(clip: Clip, stored: ClipMasklets, path: Path, *, overlap: str = "area") -> None:
    """Masklets must be of as many frames as the clip, of its size, and have what is needed.

    Args:
        clip: the clip.
        stored: what is meant to be its masklets.
        path: their file, for the error.
        overlap: the rule by which they will be painted.

    Raises:
        DataError: they are of something else, or lack the visible parts that `logit` needs.
    """
    kept = (stored.num_frames, *clip.size)
    if stored.table.num_rows:
        size = (stored.table[name][0].as_py() for name in ("height", "width"))
        kept = (stored.num_frames, *size)
    wanted = (clip.num_frames, *clip.size)
    if kept != wanted:
        raise DataError(
            f"{path}: masklets of {kept} (frames, height, width), but clip {clip.name} has "
            f"{wanted}; delete it and run sam2vss masklets again"
        )
    if overlap == "logit" and "rle_visible" not in stored.table.column_names:
        raise DataError(
            f"{path}: no column 'rle_visible', which the overlap rule logit needs; use another "
            "rule, or masklets made by sam2vss masklets"
        )
