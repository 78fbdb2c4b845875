"""The masklet store: one Parquet file per clip that anyone can read with pandas and pycocotools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pycocotools import mask as coco

from sam2vss_lib.errors import DataError
from sam2vss_lib.files import atomic_path

FORMAT_VERSION = 1
#: one row per masklet and frame; `rle_visible` holds the pixels of `rle` at which no other
#: masklet of the window has a larger logit (the `logit` overlap rule)
SCHEMA = pa.schema(
    [
        ("window", pa.int32()),
        ("anchor", pa.int32()),
        ("masklet", pa.int32()),
        ("frame", pa.int32()),
        ("rle", pa.binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("area", pa.int32()),
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("w", pa.int32()),
        ("h", pa.int32()),
        ("predicted_iou", pa.float32()),
        ("stability", pa.float32()),
        ("object_score", pa.float32()),
        ("rle_visible", pa.binary()),
    ]
)
_METADATA = ("settings", "settings_sha256", "checkpoint_sha256", "clip", "frames", "frames_sha256")


def encode_masks(masks: NDArray[np.bool_]) -> list[bytes]:
    """COCO compressed run lengths of (n, H, W) masks."""
    if not len(masks):
        return []
    columns = np.asfortranarray(np.moveaxis(masks, 0, -1).astype(np.uint8))
    return [cast(bytes, rle["counts"]) for rle in coco.encode(columns)]


def decode_masks(rles: list[bytes], height: int, width: int) -> NDArray[np.bool_]:
    """The inverse of `encode_masks`; returns (n, height, width)."""
    if not rles:
        return np.zeros((0, height, width), np.bool_)
    decoded = coco.decode([{"size": [height, width], "counts": rle} for rle in rles])
    return np.ascontiguousarray(np.moveaxis(decoded, -1, 0)).astype(np.bool_)


def masklet_rows(
    masks: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    *,
    window: int,
    anchor: int,
    frame: int,
    first_masklet: int,
    predicted_iou: NDArray[np.float32],
    stability: NDArray[np.float32],
    object_score: NDArray[np.float32],
) -> list[dict[str, Any]]:
    """Rows of one frame.

    Args:
        masks: (n, H, W) masks of the window's masklets on this frame.
        visible: (n, H, W) their disjoint parts by largest logit.
        window: index of the window.
        anchor: frame index of the window's first frame.
        frame: frame index in the clip.
        first_masklet: clip-wide id of the first masklet; the others follow.
        predicted_iou: (n,) of the proposals.
        stability: (n,) of the proposals.
        object_score: (n,) logits on this frame.
    """
    height, width = masks.shape[1:]
    rles, visible_rles = encode_masks(masks), encode_masks(visible)
    rows: list[dict[str, Any]] = []
    for index, rle in enumerate(rles):
        item = {"size": [height, width], "counts": rle}
        x, y, w, h = (int(v) for v in coco.toBbox(item))
        rows.append(
            {
                "window": window,
                "anchor": anchor,
                "masklet": first_masklet + index,
                "frame": frame,
                "rle": rle,
                "height": height,
                "width": width,
                "area": int(coco.area(item)),
                "x": x,
                "y": y,
                "w": w,
                "h": h,
                "predicted_iou": float(predicted_iou[index]),
                "stability": float(stability[index]),
                "object_score": float(object_score[index]),
                "rle_visible": visible_rles[index],
            }
        )
    return rows


@dataclass(frozen=True)
class ClipMasklets:
    """The masklets of one clip.

    Attributes:
        table: rows as in `SCHEMA`.
        metadata: settings and hashes the file was made with.
    """

    table: pa.Table
    metadata: dict[str, Any]

    @property
    def num_frames(self) -> int:
        """Frames of the clip, with or without masklets."""
        return int(self.metadata["frames"])

    def windows(self) -> Iterator[list[pa.Table]]:
        """Rows by window, and within a window by frame, in order; empty windows have no rows."""
        if not self.table.num_rows:
            return
        window = self.table["window"].to_numpy()
        frame = self.table["frame"].to_numpy()
        cuts = np.flatnonzero(np.diff(window) | np.diff(frame)) + 1
        starts, ends = [0, *cuts], [*cuts, len(frame)]
        group: list[pa.Table] = []
        for start, end in zip(starts, ends, strict=True):
            if group and window[start] != window[start - 1]:
                yield group
                group = []
            group.append(self.table.slice(start, end - start))
        yield group


class MaskletStore:
    """A folder of masklet files, `<root>/<clip>.parquet`.

    Args:
        root: the folder; made on the first write.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, clip: str) -> Path:
        """File of a clip."""
        return self.root / f"{clip}.parquet"

    def write(self, clip: str, rows: list[dict[str, Any]], metadata: dict[str, Any]) -> None:
        """Write a clip's rows atomically.

        Args:
            clip: name of the clip.
            rows: as made by `masklet_rows`, ordered by window, then frame, then masklet.
            metadata: the keys of the contract (see `_METADATA`), JSON-able.
        """
        stored = {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in {**metadata, "format_version": FORMAT_VERSION}.items()
        }
        table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(stored))
        with atomic_path(self.path(clip)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def metadata(self, clip: str) -> dict[str, Any]:
        """Settings and hashes of a clip's file.

        Raises:
            DataError: missing or unreadable file, or one of another format version.
        """
        path = self.path(clip)
        if not path.is_file():
            raise DataError(f"{path}: no masklets of clip {clip}; run sam2vss masklets first")
        try:
            raw = pq.read_schema(path).metadata or {}
            text = {key.decode(): value.decode() for key, value in raw.items()}
            stored = {key: text[key] for key in _METADATA}
            stored["settings"] = json.loads(text["settings"])
            version = int(text["format_version"])
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not a masklet file ({error}); delete it to redo it") from None
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path}: format version {version}, this program reads {FORMAT_VERSION}"
            )
        return stored

    def read(self, clip: str) -> ClipMasklets:
        """A clip's masklets.

        Raises:
            DataError: missing or unreadable file, or columns that are not the store's.
        """
        metadata = self.metadata(clip)
        try:
            table = pq.read_table(self.path(clip))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.path(clip)}: damaged masklet file ({reason})") from None
        if not table.schema.remove_metadata().equals(SCHEMA):
            raise DataError(f"{self.path(clip)}: columns differ from the masklet store's")
        return ClipMasklets(table, metadata)
