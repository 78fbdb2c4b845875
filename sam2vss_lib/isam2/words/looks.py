"""What an image-text model says of masklets on a frame, as an encoder for the store of features.

Means over a window are over pixels (Eq. 3): a frame counts by what is seen of the masklet on it.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.isam2.encoders import Encoder
from sam2vss_lib.isam2.features.pooling import pool_features
from sam2vss_lib.isam2.words.model import ImageTextModel
from sam2vss_lib.isam2.words.settings import LookSettings
from sam2vss_lib.storage.files import sha256_json

_CROPS_AT_ONCE = 32


def words_encoder(model: ImageTextModel, settings: LookSettings) -> Encoder:
    """The image side of a model as an encoder, whose vectors are compared with those of texts."""
    side = settings.side_px or model.own_side_px
    mean = np.array(model.processor.image_mean) * 255
    colour, dim = np.round(mean).astype(np.uint8), len(model.text_features(["a"])[0])

    def patches(image: NDArray[np.uint8]) -> Tensor:
        return model.patch_features(image, side)

    def crops(image: NDArray[np.uint8], masks: Tensor) -> Tensor:
        seen = masks.flatten(1).any(1)
        cut = [
            masked_crop(image, mask, colour, settings)
            for mask in masks[seen].cpu().numpy()  # a crop is cut out where the frame is
        ]
        found = torch.zeros(len(masks), dim, device=model.device)
        parts = [
            model.image_features(cut[first : first + _CROPS_AT_ONCE])
            for first in range(0, len(cut), _CROPS_AT_ONCE)
        ]
        if parts:
            found[seen] = torch.cat(parts)
        return found

    def both(image: NDArray[np.uint8], masks: Tensor) -> Tensor:
        return (crops(image, masks) + pool_features(patches(image), masks).mean) / 2

    of_masks = {"crops": crops, "both": both, "patches": None}[settings.look]
    # what is of no matter to a look is none to its identity
    told: dict[str, Any] = {"look": settings.look}
    if settings.look != "patches":
        told |= {"outside": settings.outside, "margin": settings.margin}
    if settings.look != "crops":
        told |= {"side_px": side}
    name = f"words:{model.name}@{settings.look}"
    identity = sha256_json([model.sha256, told])
    return Encoder(name, identity, dim, model.patch_px, patches, of_masks=of_masks)


def masked_crop(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    colour: NDArray[np.uint8],
    settings: LookSettings,
) -> NDArray[np.uint8]:
    """The square around a mask.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, not empty.
        colour: (3,) uint8, of what lies beyond the frame, and outside the mask where that is not
            kept.
        settings: margin, and what becomes of the outside.

    Returns:
        (S, S, 3) uint8.
    """
    spans = [np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0)]
    longer = max(int(last - first) + 1 for first, last in spans)
    side = longer + 2 * round(longer * settings.margin)
    crop = np.empty((side, side, 3), np.uint8)
    crop[:] = colour
    here, there = list[slice](), list[slice]()
    for (first, last), size in zip(spans, mask.shape, strict=True):
        begin = int(first + last + 1 - side) // 2  # in the frame, or before it
        low, high = max(begin, 0), min(begin + side, size)
        here.append(slice(low - begin, high - begin))
        there.append(slice(low, high))
    part = image[*there]
    if settings.outside == "mean":
        part = np.where(mask[*there][..., None], part, colour)
    crop[*here] = part
    return crop
