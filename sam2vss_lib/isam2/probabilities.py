"""Class probabilities of painted masklets, so that they can be one more voice among base models."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip
from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.store import ClipMasklets, FrameMasklets
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.refinement.settings import Overlap

_STRIDE_PX = 4  # as of the maps of base models

_Map = NDArray[np.float16]


def paint_probabilities(
    clip: Clip,
    stored: ClipMasklets,
    rows: Callable[[FrameMasklets], NDArray[np.intp]],
    of_rows: NDArray[np.float32],
    fill: PredictionFolder | None,
    overlap: Overlap,
) -> Iterator[_Map]:
    """Probabilities frame by frame, (C, h, w) float16, one place for 4 x 4 px: of its middle.

    Args:
        clip: the clip.
        stored: its masklets.
        rows: gives the n masklets of a frame their rows, (n,); -1 for those that paint nothing.
        of_rows: (rows, C) probabilities.
        fill: a base model's predictions for what no masklet covers; without, all classes are alike.
        overlap: which masklet is on top.

    Raises:
        DataError: `fill` has no probabilities of a frame.
    """
    step = min(_STRIDE_PX, *clip.size)
    places = slice(step // 2, None, step)
    on_top: dict[int, NDArray[np.int32]] = {}
    for window in stored.windows():
        for part in window:
            of_part = np.append(rows(part), -1)  # what nobody paints has the last index, -1, too
            paints = np.where(of_part[:-1] < 0, VOID, 0).astype(np.uint8)
            who = painters(part, overlap, paints)[places, places]
            on_top[part.frame] = of_part[who].astype(np.int32)
    alike = np.float32(1 / of_rows.shape[1])
    for i in range(clip.num_frames):
        below = None if fill is None else _below(fill, clip, i, places)
        shape = np.empty(clip.size, np.bool_)[places, places].shape
        row = on_top.get(i, np.full(shape, -1, np.int32))
        found = np.full((of_rows.shape[1], *shape), alike) if below is None else below
        found[:, row >= 0] = of_rows[row[row >= 0]].T
        yield found.astype(np.float16)


def _below(fill: PredictionFolder, clip: Clip, i: int, places: slice) -> NDArray[np.float32]:
    """The base model's probabilities of a frame at those places."""
    known = fill.read_probabilities(clip, i)
    if known is None:
        path = fill.probabilities_path(clip, i)
        raise DataError(f"{path}: no probabilities; run sam2vss segment --probabilities")
    rows, columns = (
        np.arange(full)[places] * cells // full
        for full, cells in zip(clip.size, known.shape[1:], strict=True)
    )
    return known[:, rows[:, None], columns].astype(np.float32)
