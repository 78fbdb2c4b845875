"""SAM2's image encoder: the features of the feature pyramid, or of the trunk below it.

The paper pools "the encoded features F" that go on to SAM2's mask decoder and does not name a
level. The default is the map that sam2 calls `vision_features`: stride 16, the pyramid's coarsest
level in use, without the embedding that stock code adds when there is no memory. Frames are resized
as for the mask decoder's proposals. All pyramid levels have the pyramid's full width; the mask
decoder's reduced copies of strides 4 and 8 are not used.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.base import check_image, concatenate_maps
from sam2vss_lib.masklets.engines.batched.encoder import model_input
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.storage.files import sha256_json

#: `fpn` stacks the three levels of the pyramid at stride 4
Sam2Level = Literal["fpn16", "fpn8", "fpn4", "fpn", "trunk4", "trunk8", "trunk16", "trunk32"]
_STRIDES = (4, 8, 16, 32)


class Sam2Encoder:
    """SAM2's image encoder at one level (an `Encoder`).

    Args:
        model: the SAM2 model, whose device is used.
        level: which features: `fpn` or `trunk` and their stride.

    Raises:
        SettingsError: there is no such level.
    """

    def __init__(self, model: Sam2Model, level: Sam2Level = "fpn16") -> None:
        if level not in get_args(Sam2Level):
            known = ", ".join(get_args(Sam2Level))
            raise SettingsError(f"unknown level {level!r} of SAM2's encoder; known are {known}")
        self._model, self._level = model, level
        self._encoder: Any = model.predictor.image_encoder
        self._trunk = level.startswith("trunk")
        self.stride = int(level.removeprefix("trunk").removeprefix("fpn") or _STRIDES[0])

    @property
    def name(self) -> str:
        """`sam2:`, the checkpoint and the level."""
        return f"sam2:{self._model.name}@{self._level}"

    @property
    def dim(self) -> int:
        """D, the number of channels."""
        if self._trunk:
            # the trunk lists its widths from the coarsest stage on
            return int(self._encoder.trunk.channel_list[::-1][_STRIDES.index(self.stride)])
        return int(self._encoder.neck.d_model) * (3 if self._level == "fpn" else 1)

    @property
    def sha256(self) -> str:
        """Hash of weights, configuration and level."""
        model = self._model
        return sha256_json(["sam2", model.checkpoint_sha256, model.config_sha256, self._level])

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 RGB frame to (D, S / stride, S / stride) float32.

        S is the model's input size, to which frames are squashed (1024 px in official models).

        Raises:
            SettingsError: `image` has another shape or dtype.
        """
        check_image(image)
        side_px = self._model.predictor.image_size
        batch = model_input(image, side_px, "image")[None].to(self._model.device)
        if self._trunk:
            return self._encoder.trunk(batch)[_STRIDES.index(self.stride)][0]
        levels = [level[0] for level in self._encoder(batch)["backbone_fpn"][:3]]
        if self._level == "fpn":
            return concatenate_maps(levels)
        return levels[_STRIDES.index(self.stride)]
