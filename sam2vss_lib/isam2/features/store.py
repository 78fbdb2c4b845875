"""The feature store: one Parquet file per clip, one row per masklet (or masklet and frame)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sam2vss_lib.errors import DataError, first_line
from sam2vss_lib.storage.clip_files import ClipFiles

FORMAT_VERSION = 1
#: `frame` of a row that stands for a masklet's whole window
WHOLE_WINDOW = -1
_REDO = "move it away and extract the features again"
_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("clip", pa.string()),
    ("window", pa.int32()),
    ("masklet", pa.int32()),
    ("frame", pa.int32()),
    ("area_px", pa.int64()),
    ("label", pa.uint8()),
    ("purity", pa.float32()),
    ("void_share", pa.float32()),
)
_ARROW_FLOATS = {"float16": pa.float16(), "float32": pa.float32()}


@dataclass(frozen=True)
class FeatureRows:
    """Pooled features of n masklets, or of n masklets on single frames."""

    window: NDArray[np.int32]  # (n,) int32, index of the window in the clip
    masklet: NDArray[np.int32]  # (n,) int32, unique in the clip
    # (n,) int32, 0-based; -1 in rows that stand for the masklet's whole window
    frame: NDArray[np.int32]
    area_px: NDArray[np.int64]  # (n,) int64, pixels that were pooled; more than 0
    # (n,) uint8, ground-truth class of most of these pixels (the lowest among equals); 255 where
    # none has a class or ground truth was not asked for
    label: NDArray[np.uint8]
    # (n,) float32, share of `label` among the pixels that have a class; 0 without any
    purity: NDArray[np.float32]
    # (n,) float32, share of pixels that are void, on annotated frames; else 1
    void_share: NDArray[np.float32]
    features: NDArray[Any]  # (n, D) float16 or float32

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.masklet)


@dataclass(frozen=True)
class ClipFeatures:
    """The feature rows of one clip, and what they were made from (see `FeatureStore.metadata`)."""

    rows: FeatureRows
    metadata: dict[str, Any]


class FeatureStore(ClipFiles):
    """A folder of feature files, `<root>/<clip>.parquet`."""

    def write(self, clip: str, parts: Sequence[FeatureRows], metadata: dict[str, Any]) -> None:
        """Write a clip's rows, part after part; the file appears whole or not at all.

        `metadata` is what they were made from: `settings` with `dtype`, `encoder` with `dim`, more.
        """
        dim, kind = int(metadata["encoder"]["dim"]), _ARROW_FLOATS[metadata["settings"]["dtype"]]
        columns = [*_COLUMNS, ("feature", pa.list_(kind, dim))]
        tables = [pa.schema(columns).empty_table()]
        for rows in parts:
            flat = pa.array(rows.features.ravel(), kind)
            values = {name: getattr(rows, name) for name, _ in _COLUMNS[1:]}
            values["clip"] = pa.array([clip] * len(rows), pa.string())
            values["feature"] = pa.FixedSizeListArray.from_arrays(flat, dim)
            tables.append(pa.table(values, schema=pa.schema(columns)))
        stored = {"made_from": json.dumps(metadata), "format_version": str(FORMAT_VERSION)}
        table = pa.concat_tables(tables).replace_schema_metadata(stored)
        with self.writing(clip) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def metadata(self, clip: str) -> dict[str, Any]:
        """What a clip's rows were made from.

        Returns:
            `clip`, `settings`, `encoder` (`name`, `sha256`, `dim`, `stride`), `masklets_sha256`,
            and where ground truth was read `truth_sha256` and `num_classes`, else None.

        Raises:
            DataError: missing or unreadable file, or one of another format version.
        """
        path = self.path(clip)
        if not path.is_file():
            raise DataError(f"{path}: no features of clip {clip}; extract them first")
        try:
            raw = pq.read_schema(path).metadata or {}
            version = int(raw[b"format_version"])
            if version != FORMAT_VERSION:
                raise ValueError(f"format version {version}, this program reads {FORMAT_VERSION}")
            made_from = json.loads(raw[b"made_from"])
            if missing := {"settings", "encoder"} - made_from.keys():
                raise ValueError(f"nothing about its {min(missing)}")
            return made_from
        except KeyError as error:
            name = error.args[0].decode()
            raise DataError(f"{path}: no metadata {name!r} of a feature file; {_REDO}") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: no feature file ({first_line(error)}); {_REDO}") from None

    def read(self, clip: str) -> ClipFeatures:
        """A clip's rows.

        Raises:
            DataError: missing, changed or unreadable file, or columns that are not the store's.
        """
        metadata, path = self.metadata(clip), self.path(clip)
        self.check(clip)
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path}: damaged feature file ({first_line(error)}); {_REDO}"
            ) from None
        dim, kind = metadata["encoder"]["dim"], _ARROW_FLOATS[metadata["settings"]["dtype"]]
        # pyarrow reads other names of inner fields than it wrote, and compares them
        found = [(f.name, getattr(f.type, "value_type", f.type)) for f in table.schema]
        if found != [*_COLUMNS, ("feature", kind)] or table["feature"].type.list_size != dim:
            raise DataError(f"{path}: columns differ from the store's; {_REDO}")
        flat = table["feature"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values = {name: table[name].to_numpy() for name, _ in _COLUMNS[1:]}
        features = np.array(flat).reshape(-1, dim)
        return ClipFeatures(FeatureRows(features=features, **values), metadata)
