"""What an image-text model sees of a masklet, slowly: crops pixel by pixel, sums frame by frame."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray


def crop(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    colour: Sequence[int],
    margin: float,
    keep: bool,
) -> NDArray[np.uint8]:
    """The square around a mask, (S, S, 3), every pixel by itself."""
    height, width = mask.shape
    seen = [(y, x) for y in range(height) for x in range(width) if mask[y, x]]
    top, bottom = min(y for y, _ in seen), max(y for y, _ in seen)
    left, right = min(x for _, x in seen), max(x for _, x in seen)
    longer = max(bottom - top, right - left) + 1
    side = longer + 2 * round(longer * margin)
    first_row, first_column = (top + bottom + 1 - side) // 2, (left + right + 1 - side) // 2
    out = np.zeros((side, side, 3), np.uint8)
    for y in range(side):
        for x in range(side):
            row, column = first_row + y, first_column + x
            inside = 0 <= row < height and 0 <= column < width
            shown = inside and (keep or mask[row, column])
            out[y, x] = image[row, column] if shown else colour
    return out


def mean_look(
    frames: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
    of_crop: Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.floating]],
    of_frame: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    look: Literal["crops", "patches", "both"],
) -> NDArray[np.floating] | None:
    """The mean vector of a masklet over all its pixels on some frames; None if it has none.

    `of_crop` gives the vector of a mask on a frame, `of_frame` those of its patches, (D, h, w),
    whose cells no pixel lies across.
    """
    total, pixels = np.zeros(1), 0
    for frame, mask in zip(frames, masks, strict=True):
        if not mask.any():
            continue
        whole = of_crop(frame, mask) if look != "patches" else None
        cells = of_frame(frame) if look != "crops" else None
        for y, x in zip(*np.nonzero(mask), strict=True):
            said = []
            if whole is not None:
                said.append(whole)
            if cells is not None:
                _, h, w = cells.shape
                said.append(cells[:, y * h // mask.shape[0], x * w // mask.shape[1]])
            total = total + np.mean(said, 0)
            pixels += 1
    return total / pixels if pixels else None
