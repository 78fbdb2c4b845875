"""Slow pooling: Eq. 3 pixel by pixel, every pixel shared out to the cells it lies in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pool(
    frames: list[tuple[NDArray[Any], NDArray[np.bool_]]],
) -> tuple[NDArray[np.float64] | None, int]:
    """Mean features and pixels of one masklet.

    Args:
        frames: of each frame the features (D, h, w) and the masklet's mask (H, W).

    Returns:
        (D,) mean over all its pixels, None where it has none, and their number.
    """
    total, pixels = np.zeros(len(frames[0][0])), 0
    for features, mask in frames:
        _, h, w = features.shape
        height, width = mask.shape
        for y in range(height):
            for x in range(width):
                if not mask[y, x]:
                    continue
                pixels += 1
                for i in range(h):
                    for j in range(w):
                        rows = shared(y, i * height / h, (i + 1) * height / h)
                        columns = shared(x, j * width / w, (j + 1) * width / w)
                        total += rows * columns * features[:, i, j]
    return (total / pixels if pixels else None), pixels


def shared(pixel: int, start: float, end: float) -> float:
    """Length of [pixel, pixel + 1] that lies in [start, end]."""
    return max(0.0, min(end, pixel + 1) - max(start, pixel))
