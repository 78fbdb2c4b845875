"""MRCFA: what the target frame finds in three reference frames, along refined affinities.

Sun et al., "Mining Relations among Cross-Frame Affinities for Video Semantic Segmentation", ECCV
2022, with the semantics of the published code where the paper leaves them open (`decode_head` of
https://github.com/GuoleiSun/VSS-MRCFA). Names of parameters are those of its checkpoints.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.segmentors.temporal.affinity import CrossFrameAffinities, take
from sam2vss_lib.segmentors.temporal.clip_head import WIDE, FrameFeatures, TemporalHead

#: arguments of `MrcfaHead` for the published encoders; all others have their defaults
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "mit_b0": {"in_channels": (32, 64, 160, 256), "keep_ratio": 0.8},
    "mit_b1": {"in_channels": WIDE, "deep": True},
    "mit_b2": {"in_channels": WIDE},
    "mit_b5": {"in_channels": WIDE},
}


class MrcfaHead(TemporalHead):
    """The head of MRCFA on a Mix Transformer, for a target and three reference frames.

    Args (others as of `MlpDecoder`):
        keep_ratio: share of the reference tokens that is kept.
        deep: two convolutions per scale of affinities instead of one.
        reduction: of the fused map where the target meets what it found: 2, the published one, is
            the size of stage 2, and 1 none.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = WIDE,
        num_classes: int = 124,
        embed_dim: int = 256,
        *,
        keep_ratio: float = 0.5,
        deep: bool = False,
        dropout: float = 0.1,
        reduction: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(in_channels, num_classes, embed_dim, dropout)
        self._reduction = reduction
        _, c2, c3, c4 = in_channels
        self.hypercorre_module = CrossFrameAffinities(
            (c2, c3, c4), keep_ratio=keep_ratio, deep=deep
        )
        self.sr2 = nn.Conv2d(c2, c2, 4, stride=4)
        self.sr3 = nn.Conv2d(c3, c3, 2, stride=2)
        self.sr1_feat = nn.Conv2d(embed_dim, embed_dim, 4, stride=4)
        self.deco1 = _classifier(embed_dim, num_classes, dropout)
        self.deco2 = _classifier(embed_dim, num_classes, dropout)
        self.deco3 = _classifier(embed_dim, num_classes, dropout)
        self.deco4 = _classifier(embed_dim, num_classes, dropout)

    def frame_features(self, stages: Sequence[Tensor]) -> FrameFeatures:
        """Of a target the fused stages, plain and queries; of all frames, values and keys.

        Plain are the fused stages at the size of stage 2, or as they are with reduction 1; values
        (B, E, h, w) are the same at the grid of reference tokens. Queries (B, C_i, h_i, w_i) and
        keys (B, C_i, h, w), the last at the size of stage 4, are of the stages 2, 3, 4. Sizes of
        stages need not be even.
        """
        _, second, third, fourth = stages
        fused = self.fuse(stages)
        halved = resize(fused, second.shape[-2:])
        affinities = self.hypercorre_module
        reduced = (_reduce(self.sr2, second), _reduce(self.sr3, third), fourth)
        plain, values = halved if self._reduction == 2 else fused, _reduce(self.sr1_feat, halved)
        return FrameFeatures(
            target=(fused, plain, *affinities.queries((second, third, fourth))),
            shared=(values, *affinities.keys(reduced)),
        )

    def clip_features(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """The target's map plus the mean of what was retrieved.

        Returns:
            (B, E, h_2, w_2), or (B, E, h_1, w_1) with reduction 1.
        """
        return self._combine(self._retrieve(frames), frames)

    def final_logits(self, read: Tensor) -> Tensor:
        """See `TemporalHead.final_logits`."""
        return self.deco4(read)

    def clip_logits_all(self, frames: Sequence[FrameFeatures]) -> tuple[Tensor, ...]:
        """All logits of the target that are supervised in training.

        Returns:
            Four (B, C, h_1, w_1): one from each reference alone, then those of `clip_logits`.
        """
        retrieved = self._retrieve(frames)
        decoders = (self.deco1, self.deco2, self.deco3, self.deco4)
        read = (*retrieved, self._combine(retrieved, frames))
        return tuple(
            _at_size_of(frames[-1].fused, decoder(one))
            for decoder, one in zip(decoders, read, strict=True)
        )

    def _retrieve(self, frames: Sequence[FrameFeatures]) -> list[Tensor]:
        """What the target finds in each reference, (B, E, h, w) as its plain map."""
        _, plain, *queries = frames[-1].target
        found = list[Tensor]()
        for values, *keys in (reference.shared for reference in frames[:-1]):
            grid = (values.shape[-2], values.shape[-1])
            affinities, tokens = self.hypercorre_module(queries, keys, grid)
            mixed = take(values, tokens) @ affinities.softmax(1)  # (B, E, h_2 * w_2)
            found.append(_at_size_of(plain, mixed.unflatten(2, queries[0].shape[-2:])))
        return found

    def _combine(self, retrieved: Sequence[Tensor], frames: Sequence[FrameFeatures]) -> Tensor:
        return torch.stack(tuple(retrieved)).mean(0) + frames[-1].target[1]


def _classifier(embed_dim: int, num_classes: int, dropout: float) -> nn.Module:
    """Dropout of channels and a linear classifier; `smalldecoder` is its published name."""
    layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(embed_dim, num_classes, 1))
    return nn.Sequential(OrderedDict(smalldecoder=layers))


def _reduce(convolution: nn.Conv2d, maps: Tensor) -> Tensor:
    """A strided convolution; maps smaller than its kernel get zeros at the right and below."""
    below, right = (
        max(0, kernel - side)
        for kernel, side in zip(convolution.kernel_size, maps.shape[-2:], strict=True)
    )
    return convolution(F.pad(maps, (0, right, 0, below)) if below or right else maps)


def _at_size_of(like: Tensor, maps: Tensor) -> Tensor:
    return resize(maps, like.shape[-2:])
