"""CFFM: a frame refined by what it finds, from coarse to fine, in three earlier frames.

Sun et al., "Coarse-to-Fine Feature Mining for Video Semantic Segmentation", CVPR 2022, with the
semantics of the published code where the paper leaves them open (`decode_head` of
https://github.com/GuoleiSun/VSS-CFFM). Names of parameters are those of its checkpoints, whose
`conv_seg` is used by nothing and has no place here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.segmentors.temporal.clip_head import WIDE, FrameFeatures, TemporalHead
from sam2vss_lib.segmentors.temporal.focal_attention import FocalGeometry
from sam2vss_lib.segmentors.temporal.focal_block import FocalDecoder

#: arguments of `CffmHead` for the published encoders; all others have their defaults
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "mit_b0": {"in_channels": (32, 64, 160, 256), "depth": 1},
    "mit_b1": {"in_channels": WIDE, "depth": 2},
    "mit_b2": {"in_channels": WIDE, "depth": 2},
    "mit_b5": {"in_channels": WIDE, "depth": 4},
}


class CffmHead(TemporalHead):
    """The head of CFFM on a Mix Transformer, for a target and its reference frames.

    Args (others as of `MlpDecoder`):
        embed_dim: channels of the fused map, E; a multiple of `heads`.
        depth: focal attention blocks.
        heads: attention heads.
        mlp_ratio: width of a block's perceptron over E.
        geometry: what a window attends to, and the number of references; None as published.
        reduction: of the sides of the fused map before frames are compared; published is 2.

    Raises:
        SettingsError: E is not a multiple of `heads`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = WIDE,
        num_classes: int = 124,
        embed_dim: int = 256,
        depth: int = 2,
        *,
        heads: int = 8,
        mlp_ratio: float = 4.0,
        dropout: float = 0.1,
        geometry: FocalGeometry | None = None,
        reduction: int = 2,
    ) -> None:
        if embed_dim % heads:
            raise SettingsError(f"embed_dim {embed_dim} is not a multiple of heads {heads}")
        super().__init__(in_channels, num_classes, embed_dim, dropout)
        self.geometry = geometry or FocalGeometry()
        self._reduction = reduction
        self.decoder_focal = FocalDecoder(embed_dim, depth, heads, mlp_ratio, self.geometry)
        self.linear_pred2 = nn.Conv2d(2 * embed_dim, num_classes, 1)

    def frame_features(self, stages: Sequence[Tensor]) -> FrameFeatures:
        """The fused stages, and for all frames the same reduced (see `TemporalHead`)."""
        fused = self.fuse(stages)
        height, width = fused.shape[-2:]
        size = (height // self._reduction, width // self._reduction)
        return FrameFeatures((fused,), (resize(fused, size),))

    def clip_features(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """The target as it is and as its references refine it, (B, 2 E, h_1 // 2, w_1 // 2).

        (2 stands for the reduction.)

        Raises:
            SettingsError: not as many frames as that.
        """
        wanted = len(self.geometry.reference_levels) + 1
        if len(frames) != wanted:
            raise SettingsError(f"{len(frames)} frames for a head of {wanted}")
        *references, target = (frame.shared[0] for frame in frames)
        return torch.cat((target, self.decoder_focal(target, references)), dim=1)
