"""An encoder that can be checked by hand, and masklets on the tiny data set."""

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.isam2.encoders import Encoder
from sam2vss_lib.masklets.store import MaskletStore
from tests.conftest import TINY_SIZE
from tests.masklets.common import write_masklets

WINDOWS = (2, 3)  # lengths in frames of the two windows of each clip


def colour_encoder(
    name: str = "colour", dim: int = 3, sha256: str = "e" * 64, factor: float = 1.0
) -> Encoder:
    """Mean colours of squares of 4 x 4 px, times a factor."""

    def forward(image: NDArray[np.uint8]) -> torch.Tensor:
        height, width, _ = image.shape
        squares = image.reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))
        return factor * torch.from_numpy(squares).permute(2, 0, 1).float()

    return Encoder(name, sha256, dim, 4, forward)


def tiny_masks(seed: int, count: int = 4) -> list[NDArray[np.bool_]]:
    """Rectangles on each frame of two windows, (T, n, H, W) each; the last is hidden in both."""
    rng = np.random.default_rng(seed)
    height, width = TINY_SIZE
    windows = []
    for length in WINDOWS:
        masks = np.zeros((length, count, height, width), bool)
        for frame in masks:
            for mask in frame[:-1]:
                y, x = rng.integers(0, height - 1), rng.integers(0, width - 1)
                mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = True
        windows.append(masks)
    return windows


def write_tiny_masklets(
    store: MaskletStore, dataset: Dataset, windows: dict[str, list[NDArray[np.bool_]]] | None = None
) -> None:
    """Store masklets for every clip, by default those of `tiny_masks` with the clip's number."""
    for number, clip in enumerate(dataset):
        masks = windows[clip.name] if windows else tiny_masks(number)
        rng = np.random.default_rng(number)
        scores = [rng.random((2, part.shape[1])).astype(np.float32) for part in masks]
        write_masklets(store, clip.name, masks, scores)
