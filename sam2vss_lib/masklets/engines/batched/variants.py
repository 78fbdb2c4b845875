"""The same weights run otherwise: at another input size, or with a compiled image encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed

from sam2vss_lib.errors import RunError, first_line
from sam2vss_lib.masklets.sam2 import Sam2Model


def at_image_size(model: Sam2Model, side_px: int | None) -> Sam2Model:
    """A model with the same weights for inputs of another size; itself for its own, or None.

    Position codes of the encoder are interpolated and those of pixels made anew, by sam2's own
    classes.
    """
    if side_px in (None, model.predictor.image_size):
        return model
    predictor = copy.deepcopy(model.predictor)
    side = side_px // predictor.backbone_stride
    predictor.image_size, predictor.sam_image_embedding_size = side_px, side
    encoder = predictor.sam_prompt_encoder
    encoder.input_image_size = (side_px, side_px)
    encoder.image_embedding_size = (side, side)
    encoder.mask_input_size = (4 * side, 4 * side)
    return replace(model, predictor=predictor)


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
