"""Image encodings: many frames per call, in the two resizings that stock sam2 uses."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sam2.utils.transforms import SAM2Transforms
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed

from sam2vss_lib.errors import RunError, first_line
from sam2vss_lib.masklets.sam2 import Sam2Model, without_script_warning

#: stock sam2 resizes a frame in one way for its video predictor (Pillow, bicubic, rounded to 8
#: bits) and in another for its mask generator (torchvision, bilinear with antialiasing)
Resizing = Literal["video", "image"]
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


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
    # in double precision first, as stock does
    x = (resized / 255.0).transpose(2, 0, 1).astype(np.float32, order="C")
    return torch.from_numpy((x - _MEAN[:, None, None]) / _STD[:, None, None])


def encode(
    model: Sam2Model, inputs: Sequence[Tensor], *, precision: str = "float32"
) -> EncodedFrames:
    """Run the image encoder once over several frames, each as `model_input` gives them."""
    batch = torch.stack(list(inputs)).to(model.device)
    with torch.inference_mode(), model.autocast(precision):
        return EncodedFrames(*model.predictor.forward_image(batch)["backbone_fpn"])


def with_compiled_encoder(model: Sam2Model) -> Sam2Model:
    """The same model, whose image encoder runs through `torch.compile`.

    It compiles when it is first used, for minutes at most, and then reads a frame at a time: a
    batch of any other size would be compiled anew.

    Raises:
        RunError: when used, if there is no compiler.
    """
    predictor = copy.copy(model.predictor)
    predictor._modules = {**predictor._modules, "image_encoder": _Compiled(predictor.image_encoder)}
    return replace(model, predictor=predictor)


class _Compiled(nn.Module):
    """An image encoder, a frame at a time."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._run = torch.compile(encoder, dynamic=False)

    def forward(self, batch: Tensor) -> dict[str, Any]:
        """Encode (n, 3, S, S) as the encoder does."""
        try:
            found = [self._run(frame) for frame in batch.split(1)]
        except BackendCompilerFailed as error:
            raise RunError(
                f"torch.compile: {first_line(error)}; install a C++ compiler, or leave "
                "compile_encoder off"
            ) from None
        return {key: _joined([one[key] for one in found]) for key in found[0]}


def _joined(parts: Sequence[Any]) -> Any:
    """Tensors, or lists of tensors, along their first dimension."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
