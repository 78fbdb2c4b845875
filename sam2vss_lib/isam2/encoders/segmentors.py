"""The encoders of base models, as trained with them (I-CFFM and the like of Table 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.base import Encoder, check_image, concatenate_maps
from sam2vss_lib.isam2.encoders.temporal import TemporalEncoder
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.segformer.segformer import SegFormer
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor
from sam2vss_lib.storage.files import sha256_json

_STAGES = ("1", "2", "3", "4", "all")


class SegFormerEncoder:
    """The Mix Transformer of a SegFormer (an `Encoder`).

    Args:
        model: the SegFormer, whose device is used.
        stages: `4`, the last one, or an earlier one, or `all`, stacked at the first one's stride.

    Raises:
        SettingsError: there is no such stage.
    """

    def __init__(self, model: SegFormer, stages: str = "4") -> None:
        if stages not in _STAGES:
            raise SettingsError(
                f"unknown feature {stages!r} of {model.name}; known are {', '.join(_STAGES)}"
            )
        self._model, self._stages = model, stages
        self._encoder: Any = model.network.segformer

    @property
    def name(self) -> str:
        """The base model's and the stages."""
        return f"{self._model.name}@{self._stages}"

    @property
    def stride(self) -> int:
        """Pixels of the base model's input per cell."""
        strides = self._encoder.config.strides
        return int(np.prod(strides[: 1 if self._stages == "all" else int(self._stages)]))

    @property
    def dim(self) -> int:
        """D, the number of channels."""
        sizes = self._encoder.config.hidden_sizes
        return int(sum(sizes) if self._stages == "all" else sizes[int(self._stages) - 1])

    @property
    def sha256(self) -> str:
        """Hash of weights, architecture and stages."""
        config = self._encoder.config.to_dict()
        shape = {key: config[key] for key in ("hidden_sizes", "depths", "strides", "patch_sizes")}
        return sha256_json(["segformer", self._model.checkpoint_sha256, shape, self._stages])

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 RGB frame to (D, h, w) float32.

        The frame is stretched as for the base model's predictions.

        Raises:
            SettingsError: `image` has another shape or dtype.
        """
        check_image(image)
        pixels = self._model.network_input(torch.from_numpy(image)[None])
        found = self._encoder(pixels, output_hidden_states=True).hidden_states
        maps = [stage[0] for stage in found]
        return concatenate_maps(maps) if self._stages == "all" else maps[int(self._stages) - 1]


def segmentor_encoder(segmentor: Segmentor, feature: str | None = None) -> Encoder:
    """The encoder of a base model.

    Args:
        segmentor: a SegFormer or a temporal model.
        feature: which features; by default the last stage of a SegFormer, the fused stages of a
            temporal model.

    Raises:
        SettingsError: the model has no such feature, or offers no encoder.
    """
    if isinstance(segmentor, SegFormer):
        return SegFormerEncoder(segmentor, feature or _STAGES[3])
    if isinstance(segmentor, TemporalSegmentor):
        return TemporalEncoder(segmentor, feature or "fuse")
    raise SettingsError(f"model {segmentor.name} offers no encoder; use another base model")
