"""What puts the rows of a clip into its masklet file, window by window."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sam2vss_lib.masklets.rows import Table


class ClipWriter:
    """Takes the rows of a clip, ordered by window, then frame; windows go to disk one by one.

    Attributes:
        masklets: masklets so far.
        rows: rows so far.
    """

    def __init__(self, file: Any, schema: Any) -> None:
        self._file, self._schema = file, schema
        self._window: int | None = None
        self._pending: list[Table] = []
        self._first = self.masklets = self.rows = 0

    def add(
        self,
        masks: Table,
        rle_visible: Sequence[bytes],
        *,
        window: int,
        anchor: int,
        frame: int,
        predicted_iou: NDArray[np.float32],
        stability: NDArray[np.float32],
        object_score: NDArray[np.float32],
    ) -> None:
        """Add the rows of one window's n masklets on one frame.

        Masklets are numbered as they come; those of a window are the same on all its frames. Of
        each there are a row of `masks` as `mask_columns` gives it, the run lengths of its part that
        no other has a larger logit on (`rle_visible`), the two scores of its proposal, and the
        logit of its presence on this frame, scores being (n,). `anchor` is the window's first
        frame; it and `frame` are indices in the clip.
        """
        count = masks.num_rows
        if window != self._window:
            self.flush()
            self._window, self._first = window, self.masklets
            self.masklets += count
        columns = {
            **{name: masks[name] for name in masks.column_names},
            "window": np.full(count, window),
            "anchor": np.full(count, anchor),
            "masklet": np.arange(self._first, self._first + count),
            "frame": np.full(count, frame),
            "predicted_iou": predicted_iou,
            "stability": stability,
            "object_score": object_score,
            "rle_visible": list(rle_visible),
        }
        self._pending.append(pa.table(columns, schema=self._schema))  # in the schema's order
        self.rows += count

    def copy(self, rows: Table) -> None:
        """Add the rows of one window as they are, numbers of masklets included.

        They are as in `SCHEMA`, ordered by frame, then masklet.
        """
        self.flush()
        self._pending.append(rows.replace_schema_metadata(self._schema.metadata))
        self.rows += rows.num_rows

    def flush(self) -> None:
        """Write what is pending as one row group."""
        if self._pending:
            self._file.write_table(pa.concat_tables(self._pending))
            self._pending.clear()
