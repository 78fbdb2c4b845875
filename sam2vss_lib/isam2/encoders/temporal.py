"""The features of CFFM, MRCFA and TV3S for Eq. 3: of a frame by itself, or with its references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.base import check_image
from sam2vss_lib.segmentors.temporal.clip_head import (
    CLIP_FRAMES,
    REACH_FRAMES,
    FrameFeatures,
    clip_indices,
)
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor
from sam2vss_lib.storage.files import sha256_json

_FEATURES = ("fuse", "c4", "clip")
_TRIAL_PX = 128


class TemporalEncoder:
    """What a temporal base model makes of a frame (a `ClipEncoder`).

    Args:
        model: the base model, whose device and precision are used.
        feature: `fuse`, the stages fused by the head's decoder, at the encoder's first stride;
            `c4`, the encoder's last stage; or `clip`, what the final classifier reads, which
            follows from the references too (a frame without references is its own).

    Raises:
        SettingsError: there is no such feature.
    """

    def __init__(self, model: TemporalSegmentor, feature: str = "fuse") -> None:
        if feature not in _FEATURES:
            known = ", ".join(_FEATURES)
            raise SettingsError(f"unknown feature {feature!r} of {model.name}; known are {known}")
        self._model, self._feature = model, feature
        self._kept = dict[Path, FrameFeatures]()
        with torch.inference_mode():
            device = model.device
            found = self._map(torch.zeros(1, 3, _TRIAL_PX, _TRIAL_PX, device=device))
        self._dim, self._stride = found.shape[0], round(_TRIAL_PX / found.shape[1])

    @property
    def name(self) -> str:
        """The base model's and the feature."""
        return f"{self._model.name}@{self._feature}"

    @property
    def stride(self) -> int:
        """Pixels of the base model's input per cell; of `clip` about, as grids may be stretched."""
        return self._stride

    @property
    def dim(self) -> int:
        """D, the number of channels."""
        return self._dim

    @property
    def sha256(self) -> str:
        """Hash of weights, options and feature."""
        model = self._model
        options = model.options.identity()
        return sha256_json(
            ["temporal", model.name, model.checkpoint_sha256, options, self._feature]
        )

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 RGB frame by itself to (D, h, w) float32.

        Raises:
            SettingsError: `image` has another shape or dtype.
        """
        check_image(image)
        return self._map(self._model.network_input(torch.from_numpy(image)[None]))

    @torch.inference_mode()
    def encode_in_clip(self, clip: Clip, index: int) -> Tensor:
        """Encode frame `index` of a clip, with its references if the feature reads them.

        Returns:
            (D, h, w) float32.
        """
        if self._feature != "clip":
            return self.encode(clip.frame(index))
        indices = clip_indices(index)
        indices = indices if len(indices) == CLIP_FRAMES else (index,) * CLIP_FRAMES
        return self._read([self._frame_features(clip, i) for i in indices])

    def _map(self, pixels: Tensor) -> Tensor:
        network = self._model.network
        with self._model.options.autocast(self._model.device):
            if self._feature == "c4":
                return network.backbone(pixels)[-1][0].float()
            features = network.frame_features(pixels)
        return self._read([features] * CLIP_FRAMES)

    def _read(self, frames: Sequence[FrameFeatures]) -> Tensor:
        head = self._model.network.head
        with self._model.options.autocast(self._model.device):
            found = (
                head.clip_features(frames) if self._feature == "clip" else head.fused(frames[-1])
            )
        return found[0].float()

    def _frame_features(self, clip: Clip, index: int) -> FrameFeatures:
        """Those of the last frames are kept: windows are read in the order of time."""
        path = clip.frame_path(index)
        if path not in self._kept:
            if len(self._kept) > REACH_FRAMES:
                del self._kept[next(iter(self._kept))]
            self._kept[path], _ = self._model.encode([clip.frame(index)])
        return self._kept[path]
