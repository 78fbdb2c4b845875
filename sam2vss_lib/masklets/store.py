"""The masklet store: one Parquet file per clip that anyone can read with pandas and pycocotools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pycocotools import mask as coco

from sam2vss_lib.errors import DataError, first_line
from sam2vss_lib.files import atomic_path

Table: TypeAlias = Any  # a pyarrow.Table; pyarrow ships no types
FORMAT_VERSION = 1
#: one row per masklet and frame, empty masks included; `rle_visible` holds the pixels of `rle` at
#: which no other masklet of the window has a larger logit (the `logit` overlap rule)
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
_TEXTS = ("settings_sha256", "checkpoint_sha256", "config_sha256", "clip", "frames_sha256")
_REDO = "delete it and run sam2vss masklets again"


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


def frame_table(
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
) -> Table:
    """The rows of one window on one frame, as in `SCHEMA`.

    Args:
        masks: (n, H, W) masks of the window's masklets on this frame, n > 0.
        visible: (n, H, W) their disjoint parts by largest logit.
        window: index of the window.
        anchor: frame index of the window's first frame.
        frame: frame index in the clip.
        first_masklet: clip-wide id of the first masklet; the others follow.
        predicted_iou: (n,) of the proposals.
        stability: (n,) of the proposals.
        object_score: (n,) logits on this frame.
    """
    count, height, width = masks.shape
    rles = encode_masks(masks)
    x, y, w, h = coco.toBbox(_with_size(rles, height, width)).astype(np.int32).T
    return pa.table(
        {
            "window": np.full(count, window),
            "anchor": np.full(count, anchor),
            "masklet": np.arange(first_masklet, first_masklet + count),
            "frame": np.full(count, frame),
            "rle": rles,
            "height": np.full(count, height),
            "width": np.full(count, width),
            "area": masks.sum((1, 2)),
            "x": x,
            "y": y,
            "w": w,
            "h": h,
            "predicted_iou": predicted_iou,
            "stability": stability,
            "object_score": object_score,
            "rle_visible": encode_masks(visible),
        },
        schema=SCHEMA,
    )


@dataclass(frozen=True)
class FrameMasklets:
    """The masklets of one window on one frame.

    Attributes:
        rows: as in `SCHEMA`, at least one.
    """

    rows: Table

    @property
    def frame(self) -> int:
        """Index of the frame in the clip."""
        return int(self.rows["frame"][0].as_py())

    def masks(self, column: Literal["rle", "rle_visible"] = "rle") -> NDArray[np.bool_]:
        """The masks, (n, H, W), or their disjoint visible parts."""
        height, width = self.rows["height"][0].as_py(), self.rows["width"][0].as_py()
        return decode_masks(self.rows[column].to_pylist(), height, width)

    def values(self, column: str) -> NDArray[Any]:
        """A copy of a column of numbers, (n,)."""
        return np.array(self.rows[column].to_numpy())


@dataclass(frozen=True)
class ClipMasklets:
    """The masklets of one clip.

    Attributes:
        table: rows as in `SCHEMA`, ordered by window, then frame, then masklet.
        metadata: settings and hashes the file was made with.
    """

    table: Table
    metadata: dict[str, Any]

    @property
    def num_frames(self) -> int:
        """Frames of the clip, with or without masklets."""
        return int(self.metadata["frames"])

    def windows(self) -> Iterator[list[FrameMasklets]]:
        """Windows in order, each with its frames in order; those without masklets are left out."""
        window, frame = (self.table[name].to_numpy() for name in ("window", "frame"))
        cuts = np.flatnonzero((np.diff(window) != 0) | (np.diff(frame) != 0)) + 1
        bounds = [0, *cuts.tolist(), len(frame)] if len(frame) else []
        group: list[FrameMasklets] = []
        for start, end in pairwise(bounds):
            if group and window[start] != window[start - 1]:
                yield group
                group = []
            group.append(FrameMasklets(self.table.slice(start, end - start)))
        if group:
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

    def write(self, clip: str, frames: Sequence[Table], metadata: dict[str, Any]) -> None:
        """Write a clip's masklets; the file appears whole or not at all.

        Args:
            clip: name of the clip.
            frames: as made by `frame_table`, ordered by window, then frame.
            metadata: what the masklets were made from, by the keys that `metadata` returns.
        """
        stored = {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in {**metadata, "format_version": FORMAT_VERSION}.items()
        }
        table = pa.concat_tables([SCHEMA.empty_table(), *frames]).replace_schema_metadata(stored)
        with atomic_path(self.path(clip)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def metadata(self, clip: str) -> dict[str, Any]:
        """What a clip's masklets were made from.

        Returns:
            `settings` (dict), `frames` (their number), and the texts `settings_sha256`,
            `checkpoint_sha256`, `config_sha256`, `clip` and `frames_sha256`.

        Raises:
            DataError: missing or unreadable file, or one of another format version.
        """
        path = self.path(clip)
        if not path.is_file():
            raise DataError(f"{path}: no masklets of clip {clip}; run sam2vss masklets first")
        try:
            raw = pq.read_schema(path).metadata or {}
            text = {key.decode(): value.decode() for key, value in raw.items()}
            version = int(text["format_version"])
            if version != FORMAT_VERSION:
                raise ValueError(f"format version {version}, this program reads {FORMAT_VERSION}")
            stored: dict[str, Any] = {key: text[key] for key in _TEXTS}
            return {
                **stored,
                "settings": json.loads(text["settings"]),
                "frames": int(text["frames"]),
            }
        except KeyError as error:
            raise DataError(f"{path}: no metadata {error} of a masklet file; {_REDO}") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: no masklet file ({first_line(error)}); {_REDO}") from None

    def read(self, clip: str) -> ClipMasklets:
        """A clip's masklets.

        Raises:
            DataError: missing or unreadable file, or columns that are not the store's.
        """
        metadata = self.metadata(clip)
        try:
            table = pq.read_table(self.path(clip))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path(clip)}: damaged masklet file ({first_line(error)}); {_REDO}"
            ) from None
        if not table.schema.remove_metadata().equals(SCHEMA):
            raise DataError(f"{self.path(clip)}: columns differ from the store's; {_REDO}")
        return ClipMasklets(table, metadata)
