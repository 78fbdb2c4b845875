"""Random crops for training: scale, aspect, place, mirror image, brightness and colour cast."""

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


Clips = Sequence[Sequence[LabelledFrame]]


def read_clips(dataset: Dataset) -> list[list[LabelledFrame]]:
    """Read all clips of a data set with their ground truth (about 0.3 MB a frame of 240x320)."""
    return [
        [LabelledFrame(clip.frame(i), clip.ground_truth(i)) for i in clip.annotated]
        for clip in dataset
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
    # no random number is drawn for the place in a clip of one frame
    images, labels = random_clips([[frame] for frame in frames], (0,), size, crop_px, rng)
    return images[:, 0], labels[:, 0]


@dataclass(frozen=True)
class Crop:
    """A window of a frame and what is done to it; the frames of a clip share one.

    Attributes:
        window: rows and columns of the frame.
        mirrored: whether left and right change places.
        gain: (3,) factors of red, green and blue.
    """

    window: tuple[slice, slice]
    mirrored: bool
    gain: NDArray[np.float64]


def draw_crop(size_px: tuple[int, ...], crop_px: int, rng: np.random.Generator) -> Crop:
    """Draw a crop for frames of a size (height, width)."""
    scale = np.exp(rng.uniform(*np.log(_SCALES)))
    aspect = np.exp(rng.uniform(-1, 1) * np.log(_ASPECT) / 2)
    height = min(round(crop_px / scale * aspect), size_px[0])
    width = min(round(crop_px / scale / aspect), size_px[1])
    top = int(rng.integers(size_px[0] - height + 1))
    left = int(rng.integers(size_px[1] - width + 1))
    mirrored = bool(rng.random() < 0.5)
    gain = rng.uniform(1 - _GAIN, 1 + _GAIN) + rng.uniform(-_CAST, _CAST, 3)
    return Crop((slice(top, top + height), slice(left, left + width)), mirrored, gain)


def apply_crop(frame: LabelledFrame, crop: Crop, crop_px: int) -> tuple[Tensor, Tensor]:
    """Cut a crop out of a frame.

    Returns:
        Image (3, crop, crop) float32 in 0..255 and labels (crop, crop) int64.
    """
    step = -1 if crop.mirrored else 1
    image = torch.from_numpy(frame.image[crop.window][:, ::step].copy())
    labels = torch.from_numpy(frame.labels[crop.window][:, ::step].copy())[None, None]
    size = (crop_px, crop_px)
    image = image.permute(2, 0, 1)[None].float()
    image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)[0]
    labels = F.interpolate(labels, size, mode="nearest-exact")[0, 0]
    gain = torch.tensor(crop.gain, dtype=torch.float32).view(3, 1, 1)
    return (image * gain).clamp(0, 255), labels.long()


def random_clips(
    clips: Clips,
    offsets_frames: Sequence[int],
    size: int,
    crop_px: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw a target frame with its references from clips; one crop for all frames of a sample.

    Args:
        clips: what to draw from, each long enough for the offsets.
        offsets_frames: places of the frames relative to the target, such as -9, -6, -3, 0.
        size: B, number of samples.
        crop_px: side of the square crops.
        rng: source of all randomness.

    Returns:
        Images (B, T, 3, crop, crop) float32 in 0..255 and labels (B, T, crop, crop) int64, T being
        the number of offsets.
    """
    images, labels = list[Tensor](), list[Tensor]()
    for _ in range(size):
        clip = clips[int(rng.integers(len(clips)))]
        target = int(rng.integers(-min(offsets_frames), len(clip)))
        crop = draw_crop(clip[target].labels.shape, crop_px, rng)
        found = [apply_crop(clip[target + offset], crop, crop_px) for offset in offsets_frames]
        images.append(torch.stack([image for image, _ in found]))
        labels.append(torch.stack([one for _, one in found]))
    return torch.stack(images), torch.stack(labels)
