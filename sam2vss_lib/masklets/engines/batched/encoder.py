"""Image encodings: many frames per call, in the two resizings that stock sam2 uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sam2.utils.transforms import SAM2Transforms
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.resizing import pillows_order, resize_bicubic
from sam2vss_lib.masklets.sam2 import Sam2Model, without_script_warning

#: stock sam2 resizes a frame in one way for its video predictor (Pillow, bicubic, rounded to 8
#: bits) and in another for its mask generator (torchvision, bilinear with antialiasing)
Resizing = Literal["video", "image"]
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
#: (3, 256) what becomes of a value of a channel; in double precision first, as stock does
_VALUES = ((np.arange(256) / 255.0).astype(np.float32) - _MEAN[:, None]) / _STD[:, None]


class EncodedFrames(NamedTuple):
    """Encoder features of n frames, finest first, as `SAM2Base.forward_image` gives them."""

    s4: Tensor  # (n, D/8, S/4, S/4), already reduced for the mask decoder
    s8: Tensor  # (n, D/4, S/8, S/8), likewise
    s16: Tensor  # (n, D, S/16, S/16), without the no-memory embedding

    def frame(self, index: int) -> EncodedFrames:
        """One frame, still with its leading dimension."""
        return EncodedFrames(*(level[index : index + 1] for level in self))


def model_input(image: NDArray[np.uint8], side_px: int, resizing: Resizing) -> Tensor:
    """Resize and normalise an (H, W, 3) uint8 RGB frame to (3, side_px, side_px) float32.

    "video" does so without torch: a thread in the background that runs torch's own threads makes
    those of the others wait asleep, which more than doubles the time of everything (two cores).
    """
    if resizing == "image":
        with without_script_warning():
            return SAM2Transforms(side_px, mask_threshold=0.0)(image)
    resized = np.array(Image.fromarray(image).resize((side_px, side_px)))
    found = np.empty((3, side_px, side_px), np.float32)
    for channel, values in enumerate(_VALUES):
        np.take(values, resized[..., channel], out=found[channel], mode="clip")
    return torch.from_numpy(found)


def encode(
    model: Sam2Model, inputs: Sequence[Tensor], *, precision: str = "float32"
) -> EncodedFrames:
    """Run the image encoder once over several frames, each as `model_input` gives them.

    Or as they are, (H, W, 3) uint8 of a size of which `pillows_order` is known; then the device
    does what `model_input` does for "video", to the bit.
    """
    batch = torch.stack([x.to(model.device, non_blocking=True) for x in inputs])
    with torch.inference_mode():
        if batch.dtype == torch.uint8:
            side_px = model.predictor.image_size
            axes = pillows_order((batch.shape[1], batch.shape[2]), side_px)
            assert axes is not None, f"Pillow resizes {batch.shape[1:3]} in its own way"
            values = torch.from_numpy(_VALUES).to(batch.device, non_blocking=True)
            channels = resize_bicubic(batch, side_px, axes).unbind(3)
            batch = torch.stack([values[n][x.long()] for n, x in enumerate(channels)], 1)
        with model.autocast(precision):
            return EncodedFrames(*model.predictor.forward_image(batch)["backbone_fpn"])
