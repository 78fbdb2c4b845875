"""A vision encoder of any library: what it needs of a frame, and its output as a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError, first_line
from sam2vss_lib.isam2.encoders.base import check_image
from sam2vss_lib.storage.files import sha256_json

#: mean and deviation of the colours (values 0..1) of most published models
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Backbone:
    """A network that turns a square image into a map or into tokens (an `Encoder`).

    Attributes:
        name: as given to `load_encoder`.
        sha256: hash of weights, configuration and input size.
        side_px: frames are squashed to this size; nothing is cropped, so that the map covers them.
        mean: of each colour, values 0..1.
        std: likewise.
        forward: (1, 3, S, S) float32 to (D, h, w) float.
        dim: D.
        stride: pixels of the input per cell.
        device: where the network is.
    """

    name: str
    sha256: str
    side_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    forward: Callable[[Tensor], Tensor]
    dim: int
    stride: int
    device: torch.device

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 RGB frame to (D, h, w) float32.

        Raises:
            SettingsError: `image` has another shape or dtype.
        """
        check_image(image)
        x = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float() / 255
        size = (self.side_px, self.side_px)
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return self.forward((x - mean) / std).float()


def as_map(features: Tensor, side_px: int, patch_px: int | None) -> Tensor:
    """The features of a square image as a map.

    Args:
        features: (D, h, w), returned as it is, or (N, D) tokens: class and register tokens first,
            then those of the patches, row by row.
        side_px: side of the image.
        patch_px: side of a patch where there is one token a patch.

    Returns:
        (D, h, w).

    Raises:
        SettingsError: neither of the two.
    """
    if features.ndim == 3:
        return features
    if features.ndim != 2:
        raise SettingsError(f"the encoder gives {tuple(features.shape)}: neither map nor tokens")
    side = side_px // patch_px if patch_px else 0
    if not 0 < side * side <= len(features) < 2 * side * side:  # later stages have fewer tokens
        side = isqrt(len(features))
    return features[-side * side :].T.reshape(-1, side, side)


def make_backbone(
    name: str,
    identity: list[Any],
    side_px: int,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    forward: Callable[[Tensor], Tensor],
    device: str | torch.device,
) -> Backbone:
    """A backbone with width and stride found by running it once.

    Args:
        name: for people.
        identity: JSON-able; all that the features depend on.
        side_px: of the input.
        normalisation: mean and deviation of the colours.
        forward: (1, 3, S, S) float32 to (D, h, w) float.
        device: where the network is.

    Raises:
        SettingsError: the network does not take this size, or gives no map.
    """
    device = torch.device(device)
    try:
        with torch.inference_mode():
            found = forward(torch.zeros(1, 3, side_px, side_px, device=device))
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise SettingsError(
            f"encoder {name}: cannot encode {side_px} x {side_px} px ({first_line(error)})"
        ) from None
    dim, height = found.shape[:2]
    stride = round(side_px / height)
    digest = sha256_json(identity)
    return Backbone(name, digest, side_px, *normalisation, forward, dim, stride, device)
