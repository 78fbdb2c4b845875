"""SAM2's image encoder: the features of the feature pyramid, or of the trunk below it.

The paper pools "the encoded features F" that go on to SAM2's mask decoder and does not name a
level. The default is the map that sam2 calls `vision_features`: stride 16, the pyramid's coarsest
level in use, without the embedding that stock code adds when there is no memory. Frames are resized
as for the mask decoder's proposals. All pyramid levels have the pyramid's full width; the mask
decoder's reduced copies of strides 4 and 8 are not used.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.base import Encoder, concatenate_maps
from sam2vss_lib.masklets.engines.batched.encoder import model_input
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.storage.files import sha256_json

#: `fpn` stacks the three levels of the pyramid at stride 4
Sam2Level = Literal["fpn16", "fpn8", "fpn4", "fpn", "trunk4", "trunk8", "trunk16", "trunk32"]
_STRIDES = (4, 8, 16, 32)


def sam2_encoder(model: Sam2Model, level: Sam2Level = "fpn16") -> Encoder:
    """SAM2's image encoder at one level.

    Its maps are (D, S / stride, S / stride), where S is the model's input size, to which frames
    are squashed (1024 px in official models).

    Args:
        model: the SAM2 model, whose device is used.
        level: which features: `fpn` or `trunk` and their stride.

    Raises:
        SettingsError: there is no such level.
    """
    if level not in get_args(Sam2Level):
        known = ", ".join(get_args(Sam2Level))
        raise SettingsError(f"unknown level {level!r} of SAM2's encoder; known are {known}")
    encoder: Any = model.predictor.image_encoder
    of_trunk = level.startswith("trunk")
    stride = int(level.removeprefix("trunk").removeprefix("fpn") or _STRIDES[0])
    place = _STRIDES.index(stride)

    def forward(image: NDArray[np.uint8]) -> Tensor:
        batch = model_input(image, model.predictor.image_size, "image")[None].to(model.device)
        if of_trunk:
            return encoder.trunk(batch)[place][0]
        levels = [level[0] for level in encoder(batch)["backbone_fpn"][:3]]
        return concatenate_maps(levels) if level == "fpn" else levels[place]

    if of_trunk:  # which lists its widths from the coarsest stage on
        dim = encoder.trunk.channel_list[::-1][place]
    else:
        dim = encoder.neck.d_model * (3 if level == "fpn" else 1)
    digest = sha256_json(["sam2", model.checkpoint_sha256, model.config_sha256, level])
    return Encoder(f"sam2:{model.name}@{level}", digest, int(dim), stride, forward)
