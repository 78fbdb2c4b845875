"""Affinities between the target frame and one reference frame, refined across scales (MRCFA).

Sun et al., "Mining Relations among Cross-Frame Affinities for Video Semantic Segmentation", ECCV
2022: selective token masking (STM), single-scale affinity refinement (SAR) and multi-scale affinity
aggregation (MAA). The parameters have the names of the published checkpoints
(`decode_head.hypercorre_module`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.segmentors.pixels import resize

#: target positions whose affinities are a reference token's score
_SCORED_POSITIONS = 5


class CrossFrameAffinities(nn.Module):
    """Affinities of the reference tokens worth looking at to all positions of the target.

    A reference token is a cell of the reference frame at the coarse grid (stride 32 in the
    published models), where all three scales of keys are. The target keeps its three sizes.

    Args:
        channels: of the stages 2, 3 and 4.
        keep_ratio: share of the reference tokens that is kept.
        deep: two convolutions per scale instead of one.
    """

    def __init__(self, channels: Sequence[int], *, keep_ratio: float, deep: bool) -> None:
        super().__init__()
        c2, c3, c4 = channels
        self.q1, self.k1 = nn.Linear(c2, c2), nn.Linear(c2, c2)
        self.q2, self.k2 = nn.Linear(c3, c3), nn.Linear(c3, c3)
        self.q3, self.k3 = nn.Linear(c4, c4), nn.Linear(c4, c4)
        self.hpn = AffinityAggregation(deep=deep)
        self.keep_ratio = keep_ratio

    def queries(self, stages: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Queries of a target frame, as its stages 2, 3 and 4, (B, C_i, h_i, w_i)."""
        return _project((self.q1, self.q2, self.q3), stages)

    def keys(self, stages: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Keys of a reference frame, (B, C_i, h, w) and of that shape.

        They are made from stages 2, 3 and 4 reduced to about the size of stage 4.
        """
        return _project((self.k1, self.k2, self.k3), stages)

    def forward(
        self, queries: Sequence[Tensor], keys: Sequence[Tensor], grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Refined affinities of a target to a reference.

        Args:
            queries: of the target, from `queries`.
            keys: of the reference, from `keys`.
            grid: rows and columns of reference tokens. Keys of another size are resized to it.

        Returns:
            Affinities (B, S, P), not negative, of the S kept tokens to the P = h_2 * w_2 positions
            of the target, and the tokens (B, S) int64 as cells of `grid` in raster order. S is the
            same for every sample: the share of all tokens, rounded down, but at least one.
        """
        kept = self._select(queries[2], keys[2], grid)
        scales = [
            # Affinities are linear in the keys: resized keys have the resized affinities.
            _affinities(take(resize(key, grid), kept), query)
            for query, key in zip(queries, keys, strict=True)
        ]
        batch, tokens = kept.shape
        refined = self.hpn(*scales)  # (B * S, 1, h_2, w_2)
        return refined.reshape(batch, tokens, -1), kept

    def _select(self, query: Tensor, key: Tensor, grid: tuple[int, int]) -> Tensor:
        """STM: the tokens with the largest scores on the coarsest scale, (B, S)."""
        affinities = key.flatten(2).transpose(1, 2) @ query.flatten(2)  # (B, tokens, positions)
        positions = min(_SCORED_POSITIONS, affinities.shape[2])
        scores = affinities.topk(positions, dim=2).values.sum(2)
        scores = resize(scores.unflatten(1, key.shape[-2:])[:, None], grid).flatten(1)
        count = max(1, int(scores.shape[1] * self.keep_ratio))
        return scores.topk(count, dim=1).indices


class AffinityAggregation(nn.Module):
    """SAR on each of three scales and MAA from coarse to fine; `deep` as of `CrossFrameAffinities`.

    Every reference token is a sample of its own: its affinities are an image of the target frame.
    """

    def __init__(self, *, deep: bool) -> None:
        super().__init__()
        if deep:
            self.encoder_layer4 = _convolutions((1, 1, 2), (3, 3))
            self.encoder_layer3 = _convolutions((1, 1, 2), (3, 3))
            self.encoder_layer2 = _convolutions((1, 1, 2), (5, 3))
            self.encoder_layer4to3 = _convolutions((2, 2, 2), (3, 3))
            self.encoder_layer3to2 = _convolutions((2, 2, 1), (3, 3))
        else:
            self.encoder_layer4 = _convolutions((1, 1), (3,))
            self.encoder_layer3 = _convolutions((1, 1), (5,))
            self.encoder_layer2 = _convolutions((1, 1), (5,))
            self.encoder_layer4to3 = _convolutions((1, 1), (3,))
            self.encoder_layer3to2 = _convolutions((1, 1), (3,))

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Refine the affinities of N tokens, (N, 1, h_i, w_i) on scales 2, 3 and 4.

        Returns:
            (N, 1, h_2, w_2), not negative.
        """
        mixed = _grow(self.encoder_layer4(coarse), middle) + self.encoder_layer3(middle)
        mixed = self.encoder_layer4to3(mixed)
        return self.encoder_layer3to2(_grow(mixed, fine) + self.encoder_layer2(fine))


class _PictureNorm(nn.GroupNorm):
    """A group norm that bears pictures of a single value, as very small frames have them."""

    def forward(self, input: Tensor) -> Tensor:
        # functional.group_norm refuses them; their result is the bias.
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


def take(maps: Tensor, cells: Tensor) -> Tensor:
    """The vectors (B, D, S) of some cells, (B, S) int64 in raster order, of maps (B, D, h, w)."""
    return maps.flatten(2).gather(2, cells[:, None].expand(-1, maps.shape[1], -1))


def _project(linears: Sequence[nn.Linear], maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(
        F.conv2d(one, linear.weight[..., None, None], linear.bias)
        for linear, one in zip(linears, maps, strict=True)
    )


def _affinities(tokens: Tensor, query: Tensor) -> Tensor:
    """Dot products of tokens (B, D, S) and positions (B, D, h, w), not scaled: (B * S, 1, h, w)."""
    products = tokens.transpose(1, 2) @ query.flatten(2)
    return products.reshape(-1, 1, *query.shape[-2:])


def _convolutions(channels: Sequence[int], kernels: Sequence[int]) -> nn.Sequential:
    """Of 4D convolutions only the halves that run over the target's positions have parameters."""
    layers = list[nn.Module]()
    for (before, after), kernel in zip(pairwise(channels), kernels, strict=True):
        convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
        named = nn.Sequential(OrderedDict(conv2=convolution))
        layers += [named, _PictureNorm(1, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _grow(maps: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation to a larger scale, corner pixels on corner pixels."""
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=True)
