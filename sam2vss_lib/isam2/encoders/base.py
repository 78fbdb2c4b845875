"""What every encoder offers to the pooling of features: one map per frame, and who it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.errors import SettingsError


@dataclass(frozen=True)
class Encoder:
    """An image encoder ready to use; features may follow from other frames of the clip too."""

    name: str  # for people; also says which of its features are meant
    sha256: str  # hash of all that its features depend on, frames aside: weights, sizes, level
    dim: int  # D, the number of channels
    stride: int  # pixels of the encoder's input per cell of the map
    # an (H, W, 3) uint8 RGB frame to (D, h, w) float on the encoder's device; the map covers the
    # whole frame
    forward: Callable[[NDArray[np.uint8]], Tensor]
    # a clip and the index of a frame likewise; None where only the frame is read
    in_clip: Callable[[Clip, int], Tensor] | None = None
    # such a frame and n masks (n, H, W) bool to (n, D) features of what is under each, zeros where
    # it is empty; None where the mean of the map is meant
    of_masks: Callable[[NDArray[np.uint8], Tensor], Tensor] | None = None

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 RGB frame by itself to (D, h, w) float32.

        Raises:
            SettingsError: `image` has another shape or dtype.
        """
        if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise SettingsError(f"the image is {image.dtype} {image.shape}, not uint8 (H, W, 3)")
        return self.forward(image).float()


@torch.inference_mode()
def encode_frame(encoder: Encoder, clip: Clip, index: int) -> Tensor:
    """The features (D, h, w) of a frame of a clip, whichever kind the encoder is of."""
    if encoder.in_clip is not None:
        return encoder.in_clip(clip, index).float()
    return encoder.encode(clip.frame(index))


def encoder_identity(encoder: Encoder) -> dict[str, Any]:
    """What outputs record of the encoder they follow from; JSON-able."""
    return {key: getattr(encoder, key) for key in ("name", "sha256", "dim", "stride")}


def concatenate_maps(maps: Sequence[Tensor]) -> Tensor:
    """Stack maps of several strides, (D_i, h_i, w_i), on the grid of the first and finest.

    Cells are repeated, not interpolated, so that pooling the stack gives the pooled maps in a row.
    """
    size = maps[0].shape[1:]
    return torch.cat([F.interpolate(m[None], size=size, mode="nearest-exact")[0] for m in maps])
