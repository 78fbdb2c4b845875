"""Generated clips for training the demo SAM2: rendered once, kept as memory-mapped arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sam2vss_lib.datasets.demo.world import World
from sam2vss_lib.storage.files import atomic_path

SIDE_PX = 256  # the demo model's image size; frames are squashed to it as SAM2 does
FRAMES_PER_CLIP = 8
_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
_STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@dataclass(frozen=True)
class Pool:
    """Training clips.

    Attributes:
        images: (N, T, S, S, 3) uint8 RGB.
        regions: (N, T, S, S) uint8 region ids, equal ids meaning the same region within a clip.
    """

    images: NDArray[np.uint8]
    regions: NDArray[np.uint8]


def load_pool(folder: Path, num_clips: int, first_seed: int) -> Pool:
    """Render `num_clips` clips with consecutive seeds into `folder`, or reuse them from there.

    Successive frames of a clip are 1 to 3 frames apart, so that a short sequence sees the motion
    and the occlusions of a long one.
    """
    image_path = folder / f"images_{first_seed}_{num_clips}.npy"
    region_path = folder / f"regions_{first_seed}_{num_clips}.npy"
    if not (image_path.exists() and region_path.exists()):
        with atomic_path(image_path) as images_tmp, atomic_path(region_path) as regions_tmp:
            shape = (num_clips, FRAMES_PER_CLIP, SIDE_PX, SIDE_PX)
            images = np.lib.format.open_memmap(images_tmp, "w+", np.uint8, (*shape, 3))
            regions = np.lib.format.open_memmap(regions_tmp, "w+", np.uint8, shape)
            for index in tqdm(range(num_clips), desc="rendering", disable=None):
                _render_clip(first_seed + index, images[index], regions[index])
            images.flush()
            regions.flush()
    return Pool(np.load(image_path, mmap_mode="r"), np.load(region_path, mmap_mode="r"))


def _render_clip(seed: int, images: NDArray[np.uint8], regions: NDArray[np.uint8]) -> None:
    world = World(seed)
    rng = np.random.default_rng([seed, 1])
    stride = int(rng.integers(1, 4))
    start = int(rng.integers(0, world.num_frames - stride * (FRAMES_PER_CLIP - 1)))
    for index in range(FRAMES_PER_CLIP):
        frame = world.frame(start + stride * index)
        size = (SIDE_PX, SIDE_PX)
        images[index] = np.asarray(Image.fromarray(frame.image).resize(size, Image.Resampling.BOX))
        regions[index] = np.asarray(
            Image.fromarray(frame.regions).resize(size, Image.Resampling.NEAREST)
        )


def sample_clips(
    pool: Pool, rng: np.random.Generator, batch: int, num_frames: int
) -> tuple[Tensor, Tensor]:
    """Draw clips with light augmentation (mirror, brightness, contrast, colour order).

    Returns:
        images (batch, num_frames, 3, S, S) float32, normalised as SAM2 expects, and region ids
        (batch, num_frames, S, S) int64.
    """
    clips = rng.choice(len(pool.images), batch, replace=False)
    first = rng.integers(0, FRAMES_PER_CLIP - num_frames + 1, batch)
    images = np.stack(
        [pool.images[c, f : f + num_frames] for c, f in zip(clips, first, strict=True)]
    )
    regions = np.stack(
        [pool.regions[c, f : f + num_frames] for c, f in zip(clips, first, strict=True)]
    )
    x = torch.from_numpy(images).permute(0, 1, 4, 2, 3).float() / 255
    labels = torch.from_numpy(regions).long()
    if rng.random() < 0.5:
        x, labels = x.flip(-1), labels.flip(-1)
    if rng.random() < 0.25:
        x = x[:, :, torch.from_numpy(rng.permutation(3))]
    gain, lift = float(rng.uniform(0.8, 1.2)), float(rng.uniform(-0.08, 0.08))
    x = ((x - 0.5) * gain + 0.5 + lift).clamp(0, 1)
    return (x - _MEAN) / _STD, labels


def region_targets(labels: Tensor, frames: Tensor, regions: Tensor, side: int) -> Tensor:
    """Area-averaged masks of given regions.

    Args:
        labels: (N, S, S) int64 region ids.
        frames: (n,) int64 index into `labels` of each target.
        regions: (n,) int64 region id of each target.
        side: side of the result.

    Returns:
        (n, 1, side, side) float32 in 0..1.
    """
    masks = (labels[frames] == regions[:, None, None]).float()[:, None]
    return masks if side == masks.shape[-1] else F.adaptive_avg_pool2d(masks, side)
