"""From frames to the network's input, and from its logits to labels at the frame's size."""

from collections.abc import Sequence
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.pixel_resize import resize_pixels

#: `frame`: the frame's own size, rounded up to multiples of 32; `published`: the frame is scaled
#: into 853 x 480 px first, as the published test settings of the VSPW models have it
InputSize = Literal["frame", "published"]

#: strides of the four stages multiply to this; other sizes would lose rows and columns on the way
SIZE_MULTIPLE_PX = 32
_PUBLISHED_LONG_PX, _PUBLISHED_SHORT_PX = 853, 480
_MEAN = (123.675, 116.28, 103.53)  # ImageNet, RGB, of values 0..255
_STD = (58.395, 57.12, 57.375)


def normalise(frames: Tensor) -> Tensor:
    """Normalise (B, 3, H, W) RGB values 0..255 to float32 as ImageNet models expect them."""
    mean = torch.tensor(_MEAN, device=frames.device).view(3, 1, 1)
    std = torch.tensor(_STD, device=frames.device).view(3, 1, 1)
    return (frames.float() - mean) / std


def network_input(frames: Tensor, rule: InputSize, least_side_px: int = 1) -> Tensor:
    """Resize and normalise frames.

    Args:
        frames: (B, H, W, 3) uint8 RGB, on the network's device.
        rule: the size; both stretch, and never pad, to multiples of 32.
        least_side_px: shorter sides are stretched to this before.

    Returns:
        (B, 3, h, w) float32.

    Raises:
        SettingsError: `frames` has another shape or dtype.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise SettingsError(
            f"frames are {frames.dtype} {tuple(frames.shape)}, not torch.uint8 (B, H, W, 3)"
        )
    pixels = frames.permute(0, 3, 1, 2)
    if rule == "frame":
        return resize(normalise(pixels), _rounded_up(frames.shape[1:3], least_side_px))
    scaled = _scaled_size(frames.shape[1], frames.shape[2])
    # The published pipeline resizes twice, and 8-bit images.
    pixels = resize_pixels(pixels, scaled)
    return normalise(resize_pixels(pixels, _rounded_up(scaled, least_side_px)))


def labels_from_logits(logits: Tensor, *sizes: Sequence[int]) -> Tensor:
    """The class of every pixel, (B, H, W) uint8, from (B, C, h, w) float logits.

    They are interpolated to each of `sizes`, (height, width) in px, in turn, the last that of the
    labels.
    """
    labels = list[Tensor]()
    for one in logits[:, None]:  # a frame at a time: C maps of full size are larger than all else
        for size in sizes:
            one = resize(one, size)
        # the first of equals, as by argmax, which is several times slower on a CPU
        labels.append(one[0].max(0).indices.to(torch.uint8))
    return torch.stack(labels)


def _scaled_size(height: int, width: int) -> tuple[int, int]:
    long, short = max(height, width), min(height, width)
    scale = min(_PUBLISHED_LONG_PX / long, _PUBLISHED_SHORT_PX / short)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def _rounded_up(size: Sequence[int], least: int) -> tuple[int, int]:
    height, width = (ceil(max(s, least) / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX for s in size)
    return height, width


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation of (B, D, h, w) float between pixel centres to (B, D, *size).

    Maps of that size are returned as they are.
    """
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
