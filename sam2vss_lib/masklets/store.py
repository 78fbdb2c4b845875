"""The masklet store: one Parquet file per clip that anyone can read with pandas and pycocotools."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sam2vss_lib.datasets.clips import Clip
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.errors import DataError, first_line
from sam2vss_lib.masklets.rows import SCHEMA, Table, checked_rows, decode_masks
from sam2vss_lib.masklets.runs import Runs, decode_runs
from sam2vss_lib.masklets.writer import ClipWriter
from sam2vss_lib.storage.clip_files import ClipFiles
from sam2vss_lib.storage.records import check_same_inputs

FORMAT_VERSION = 1
MaskColumn = Literal["rle", "rle_visible"]
_TEXTS = ("settings_sha256", "checkpoint_sha256", "clip")
_OPTIONAL_TEXTS = ("config_sha256", "frames_sha256")  # ours, not of the format
FILL = "fill"  # what was added where nothing covered is made from; a dict
MODEL = "model"  # what a model of another package is, beside its weights; a dict
_REDO = "move it away and run sam2vss masklets again"


@dataclass(frozen=True)
class FrameMasklets:
    """The masklets of one window on one frame."""

    rows: Table  # as in `SCHEMA`, at least one

    @property
    def frame(self) -> int:
        """Index of the frame in the clip."""
        return int(self.rows["frame"][0].as_py())

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self.rows["height"][0].as_py(), self.rows["width"][0].as_py()

    def masks(self, column: MaskColumn = "rle") -> NDArray[np.bool_]:
        """The masks, (n, H, W), or their disjoint visible parts where the file has them."""
        return decode_masks(self.rows[column].to_pylist(), *self.size)

    def runs(self, column: MaskColumn = "rle") -> Runs:
        """The same as runs of pixels, which is where most that is done to masks is fast."""
        return decode_runs(self.rows[column].to_pylist(), *self.size)

    def values(self, column: str) -> NDArray[Any]:
        """A copy of a column of numbers, (n,)."""
        return np.array(self.rows[column].to_numpy())


@dataclass(frozen=True)
class ClipMasklets:
    """The masklets of one clip.

    Rows are as in `SCHEMA`, ordered by window, then frame, then masklet; without `rle_visible` in a
    file of another program that has none.
    """

    table: Table
    metadata: dict[str, Any]  # settings and hashes the file was made with

    @property
    def num_frames(self) -> int:
        """Frames of the clip, with or without masklets."""
        return int(self.metadata["frames"])

    def windows(self) -> Iterator[list[FrameMasklets]]:
        """Windows in order, each with its frames in order; those without masklets are left out."""
        window, frame = (self.table[name].to_numpy() for name in ("window", "frame"))
        cuts = np.flatnonzero((np.diff(window) != 0) | (np.diff(frame) != 0)) + 1
        bounds = [0, *cuts.tolist(), len(frame)] if len(frame) else []
        for _, parts in groupby(pairwise(bounds), lambda part: window[part[0]]):
            yield [FrameMasklets(self.table.slice(start, end - start)) for start, end in parts]


class MaskletStore(ClipFiles):
    """A folder of masklet files, `<root>/<clip>.parquet`."""

    @contextmanager
    def writer(self, clip: str, metadata: dict[str, Any]) -> Generator[ClipWriter]:
        """Write a clip's masklets; the file appears whole when the block ends, or not at all.

        `metadata` is what they were made from, by the keys that the method `metadata` returns.
        """
        stored = {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in {**metadata, "format_version": FORMAT_VERSION}.items()
        }
        schema = SCHEMA.with_metadata(stored)
        with (
            self.writing(clip) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as file,
        ):
            writer = ClipWriter(file, schema)
            yield writer
            writer.flush()

    def metadata(self, clip: str) -> dict[str, Any]:
        """What a clip's masklets were made from.

        Returns:
            `settings` (dict), `frames` (their number), and the texts `settings_sha256`,
            `checkpoint_sha256` and `clip`; `config_sha256` and `frames_sha256` where the file has
            them, as all of ours do; `fill` (dict) where `fill_masklets` made it; and `model` (dict)
            where its masklets follow from more than weights, as with those of transformers.

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
            stored |= {key: text[key] for key in _OPTIONAL_TEXTS if key in text}
            stored |= {key: json.loads(text[key]) for key in (FILL, MODEL) if key in text}
            stored["settings"], stored["frames"] = json.loads(text["settings"]), int(text["frames"])
            return stored
        except KeyError as error:
            raise DataError(f"{path}: no metadata {error} of a masklet file; {_REDO}") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: no masklet file ({first_line(error)}); {_REDO}") from None

    def read(self, clip: str) -> ClipMasklets:
        """A clip's masklets.

        Raises:
            DataError: missing, changed or unreadable file, or rows that are not a masklet file's.
        """
        path, metadata = self.path(clip), self.metadata(clip)
        self.check(clip)
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            problem = f"damaged masklet file ({first_line(error)})"
            raise FileFault(path, problem, _REDO) from None
        try:
            return ClipMasklets(checked_rows(table, metadata["frames"]), metadata)
        except ValueError as error:
            problem = f"clip {clip}, {first_line(error)}"
            raise FileFault(path, problem, f"have it written anew, or {_REDO}") from None

    def open(self, clip: Clip, *, overlap: str = "area") -> ClipMasklets:
        """The masklets of a clip of a data set, which must be of the very frames that it has.

        Raises:
            DataError: as of `read`; or they are of frames of another number, size or content, or
                lack the visible parts that painting by the overlap rule `logit` needs.
        """
        stored, path = self.read(clip.name), self.path(clip.name)
        first = stored.table.select(["height", "width"]).slice(0, 1).to_pylist()
        kept = (stored.num_frames, *(first[0].values() if first else clip.size))
        wanted = (clip.num_frames, *clip.size)
        if kept != wanted:
            raise DataError(
                f"{path}: masklets of {kept} (frames, height, width), but clip {clip.name} has "
                f"{wanted}; name the masklets of this data set"
            )
        self.check_frames(clip, stored.metadata)
        if overlap == "logit" and "rle_visible" not in stored.table.column_names:
            raise DataError(
                f"{path}: no column 'rle_visible', which the overlap rule logit needs; use another "
                "rule, or masklets made by sam2vss masklets"
            )
        return stored

    def check_reusable(self, clip: Clip, made_from: dict[str, Any]) -> None:
        """Refuse a clip's file that is not what making it from these inputs would give.

        Raises:
            DataError: it was made from something else, or is not as it was written.
        """
        stored = self.metadata(clip.name)
        self.check_frames(clip, stored, made_from["frames_sha256"])
        check_same_inputs(self.path(clip.name), stored, made_from)
        self.check(clip.name)

    def check_frames(self, clip: Clip, metadata: dict[str, Any], found: str | None = None) -> None:
        """Compare a clip's frames with those that its masklets are of, where the file says them.

        Other numbers of frames are for the caller to refuse. Who knows the hash of the frames
        gives it as `found`, so that they are not read once more.

        Raises:
            DataError: a frame was replaced since.
        """
        known = metadata.get("frames_sha256")
        if known is None or metadata["frames"] != clip.num_frames:
            return
        found = found or clip.frames_sha256()
        if found != known:
            raise FileFault(
                self.path(clip.name),
                f"made with other inputs: frames_sha256 is {known[:12]}..., not {found[:12]}...: "
                f"frames of clip {clip.name} were replaced since",
                f"put them back, or {_REDO}, or with another --out",
            )
