"""The encoders of base models, as trained with them (I-CFFM and the like of Table 3)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.base import Encoder, concatenate_maps
from sam2vss_lib.isam2.encoders.temporal import TEMPORAL_FEATURES, temporal_encoder
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.segformer.segformer import SegFormer
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor
from sam2vss_lib.storage.files import sha256_json

#: the stages of the Mix Transformer, and all of them stacked at the first one's stride
SEGFORMER_FEATURES = ("1", "2", "3", "4", "all")


def segmentor_encoder(segmentor: Segmentor, feature: str | None = None) -> Encoder:
    """The encoder of a base model, at one of its features.

    By default that is the last stage of a SegFormer, and the fused stages of a temporal model.

    Raises:
        SettingsError: the model has no such feature, or offers no encoder.
    """
    if isinstance(segmentor, SegFormer):
        known, feature = SEGFORMER_FEATURES, feature or "4"
    elif isinstance(segmentor, TemporalSegmentor):
        known, feature = TEMPORAL_FEATURES, feature or "fuse"
    else:
        raise SettingsError(f"model {segmentor.name} offers no encoder; use another base model")
    if feature not in known:
        raise SettingsError(
            f"unknown feature {feature!r} of {segmentor.name}; known are {', '.join(known)}"
        )
    if isinstance(segmentor, SegFormer):
        return _segformer_encoder(segmentor, feature)
    return temporal_encoder(segmentor, feature)


def _segformer_encoder(model: SegFormer, stages: str) -> Encoder:
    """The Mix Transformer of a SegFormer; the frame is stretched as for its predictions."""
    encoder: Any = model.network.segformer
    config = encoder.config
    wanted = slice(None) if stages == "all" else slice(int(stages) - 1, int(stages))

    def forward(image: NDArray[np.uint8]) -> Tensor:
        pixels = model.network_input(torch.from_numpy(image)[None])
        found = encoder(pixels, output_hidden_states=True).hidden_states
        return concatenate_maps([stage[0] for stage in found[wanted]])

    shape = {
        key: config.to_dict()[key] for key in ("hidden_sizes", "depths", "strides", "patch_sizes")
    }
    return Encoder(
        f"{model.name}@{stages}",
        sha256_json(["segformer", model.checkpoint_sha256, shape, stages]),
        dim=int(sum(config.hidden_sizes[wanted])),
        stride=int(np.prod(config.strides[: 1 if stages == "all" else int(stages)])),
        forward=forward,
    )
