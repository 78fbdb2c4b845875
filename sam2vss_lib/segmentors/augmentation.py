"""Random crops for training: scale, aspect, place, mirror image, brightness and colour cast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Dataset

_SCALES = (0.8, 1.7)
_ASPECT = 1.15  # at most this much wider or higher
_GAIN = 0.25
_CAST = 0.06


@dataclass(frozen=True)
class LabelledFrame:
    """A frame and its ground truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 0..C-1 and void 255.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_frames(dataset: Dataset) -> list[LabelledFrame]:
    """Read all frames of a data set with their ground truth (about 0.3 MB each at 240x320)."""
    return [
        LabelledFrame(clip.frame(i), clip.ground_truth(i))
        for clip in dataset
        for i in range(clip.num_frames)
    ]


def random_batch(
    frames: Sequence[LabelledFrame], size: int, crop_px: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw frames and augment them.

    Args:
        frames: what to draw from.
        size: B, number of crops.
        crop_px: side of the square crops.
        rng: source of all randomness.

    Returns:
        Images (B, 3, crop, crop) float32 in 0..255 and labels (B, crop, crop) int64.
    """
    crops = [random_crop(frames[int(rng.integers(len(frames)))], crop_px, rng) for _ in range(size)]
    return torch.stack([image for image, _ in crops]), torch.stack([labels for _, labels in crops])


def random_crop(
    frame: LabelledFrame, crop_px: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """One augmented crop: a window of random size, resized to the crop.

    Args:
        frame: the whole frame.
        crop_px: side of the crop.
        rng: source of all randomness.

    Returns:
        Image (3, crop, crop) float32 in 0..255 and labels (crop, crop) int64.
    """
    scale = np.exp(rng.uniform(*np.log(_SCALES)))
    aspect = np.exp(rng.uniform(-1, 1) * np.log(_ASPECT) / 2)
    height = min(round(crop_px / scale * aspect), frame.labels.shape[0])
    width = min(round(crop_px / scale / aspect), frame.labels.shape[1])
    top = int(rng.integers(frame.labels.shape[0] - height + 1))
    left = int(rng.integers(frame.labels.shape[1] - width + 1))
    window = np.s_[top : top + height, left : left + width]
    step = -1 if rng.random() < 0.5 else 1
    image = torch.from_numpy(frame.image[window][:, ::step].copy()).permute(2, 0, 1)[None].float()
    labels = torch.from_numpy(frame.labels[window][:, ::step].copy())[None, None]
    size = (crop_px, crop_px)
    image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)[0]
    labels = F.interpolate(labels, size, mode="nearest-exact")[0, 0]
    gain = rng.uniform(1 - _GAIN, 1 + _GAIN) + rng.uniform(-_CAST, _CAST, 3)
    image = (image * torch.tensor(gain, dtype=torch.float32).view(3, 1, 1)).clamp(0, 255)
    return image, labels.long()
