"""Class probabilities of a frame, of whatever resolution, read at single pixels of the frame."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import Labels

_LEAST = np.float32(1e-4)  # float16 and nets in softmax say zero where they mean little
_WHOLE = 2**17  # values of a map up to which all its places are looked at for expected errors


class Corners(NamedTuple):
    """The four places of a map around each of k pixels, and how far the pixel is from the first."""

    top: NDArray[np.intp]
    bottom: NDArray[np.intp]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    down: NDArray[np.float32]  # 0..1, like the next
    across: NDArray[np.float32]


def corners(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    frame_px: tuple[int, int],
    map_px: tuple[int, int],
) -> Corners:
    """Where pixels of a frame lie in a map that covers it, corners not aligned."""
    low, high, part = (
        list[NDArray[np.intp]](),
        list[NDArray[np.intp]](),
        list[NDArray[np.float32]](),
    )
    for at, frame, size in zip((rows, columns), frame_px, map_px, strict=True):
        place = np.clip((at + 0.5) * (size / frame) - 0.5, 0, size - 1)
        first = place.astype(np.intp)
        low.append(first)
        high.append(np.minimum(first + 1, size - 1))
        part.append((place - first).astype(np.float32))
    return Corners(low[0], high[0], low[1], high[1], part[0], part[1])


def log_probability(
    probabilities: NDArray[np.float16], classes: Labels, at: Corners
) -> NDArray[np.float32]:
    """Log of the probability of one class at each of k pixels, bilinearly interpolated, (k,).

    Probabilities are (C, h, w), classes (k,).
    """
    height, width = probabilities.shape[1:]
    values = probabilities.ravel()
    above, below = (classes * np.intp(height * width) + row * width for row in (at.top, at.bottom))

    def read(row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[np.float32]:
        return values.take(row + column).astype(np.float32)

    high = read(above, at.left) * (1 - at.across) + read(above, at.right) * at.across
    low = read(below, at.left) * (1 - at.across) + read(below, at.right) * at.across
    return np.log(high * (1 - at.down) + low * at.down + _LEAST)


def middles(
    map_px: tuple[int, int], frame_px: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column, (h, 1) and (w,), of the pixel under the middle of each place of a map."""
    rows, columns = (
        ((np.arange(size) + 0.5) * frame / size).astype(np.intp)
        for size, frame in zip(map_px, frame_px, strict=True)
    )
    return rows[:, None], columns


def expected_errors_px(
    probabilities: NDArray[np.float16], where: NDArray[np.bool_], temperature: float
) -> float:
    """How many of a frame's marked pixels a base model itself expects to be wrong.

    That is the sum of 1 - max p over them, p being (C, h, w) and the marks (H, W). Of large maps
    some places stand for all.
    """
    step = 1 + int((probabilities[0].size * len(probabilities) / _WHOLE) ** 0.5)
    some = probabilities[:, step // 2 :: step, step // 2 :: step].astype(np.float32)
    if temperature != 1:
        some = (some + _LEAST) ** np.float32(1 / temperature)
        some /= some.sum(0)
    marked = where[middles(some.shape[1:], where.shape)]
    doubt = (1 - some.max(0))[marked]
    return float(doubt.sum()) * where.size / max(marked.size, 1)
