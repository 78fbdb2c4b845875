"""Transformer blocks that refine a frame by focal attention to itself and to reference frames."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.segmentors.temporal.focal_attention import FocalAttention, FocalGeometry


class FocalDecoder(nn.Module):
    """A row of blocks; each refines the target further and sees the references as they came."""

    def __init__(
        self, dim: int, depth: int, heads: int, mlp_ratio: float, geometry: FocalGeometry
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [FocalBlock(dim, heads, mlp_ratio, geometry) for _ in range(depth)]
        )

    def forward(self, target: Tensor, references: Sequence[Tensor]) -> Tensor:
        """Refine a frame (B, D, H, W) by references of the same shape, oldest first."""
        target = target.permute(0, 2, 3, 1)
        references = [reference.permute(0, 2, 3, 1) for reference in references]
        for block in self.blocks:
            target = block(target, references)
        return target.permute(0, 3, 1, 2)


class FocalBlock(nn.Module):
    """Focal attention and a two-layer perceptron, each after a normalisation and added."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, geometry: FocalGeometry) -> None:
        super().__init__()
        self.geometry = geometry
        target, *references = [_pooling(geometry.window // level) for level, _ in geometry.pooled]
        self.pool_layers = nn.ModuleList([target])
        self.pool_layers_clips = nn.ModuleList(references)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = FocalAttention(dim, heads, geometry)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(dim, hidden), act=nn.GELU(), fc2=nn.Linear(hidden, dim))
        )

    def forward(self, target: Tensor, references: Sequence[Tensor]) -> Tensor:
        """Refine the target (B, H, W, D) once, by references of the same shape, oldest first."""
        side = self.geometry.window
        _, height, width, _ = target.shape
        rows, columns = -(-height // side), -(-width // side)
        padding = (0, 0, 0, columns * side - width, 0, rows * side - height)
        maps = [F.pad(self.norm1(frame), padding) for frame in (target, *references)]
        windows = maps[0].unflatten(1, (rows, side)).unflatten(3, (columns, side))
        tokens = [windows.transpose(2, 3).flatten(1, 4)]
        layers = cast(Iterable[nn.Linear], (*self.pool_layers, *self.pool_layers_clips))
        for frame, layer, (level, _) in zip(maps, layers, self.geometry.pooled, strict=True):
            tokens.append(pool(frame, layer, rows * level, columns * level).flatten(1, 2))
        attended = self.attn(torch.cat(tokens, dim=1), rows, columns)
        attended = attended.unflatten(1, (rows, columns, side, side)).transpose(2, 3)
        attended = attended.flatten(1, 2).flatten(2, 3)[:, :height, :width]
        target = target + attended
        return target + self.mlp(self.norm2(target))


def pool(frame: Tensor, layer: nn.Linear, rows: int, columns: int) -> Tensor:
    """Weighted sums over a grid of squares, one set of weights for all squares and channels.

    Args:
        frame: (B, H, W, D); resized where the squares do not tile it.
        layer: from the pixels of a square to one value.
        rows: squares along the height.
        columns: squares along the width.

    Returns:
        (B, rows, columns, D).
    """
    side = round(layer.in_features**0.5)
    tiled = resize(frame.permute(0, 3, 1, 2), (rows * side, columns * side)).permute(0, 2, 3, 1)
    squares = tiled.unflatten(1, (rows, side)).unflatten(3, (columns, side))
    return torch.einsum("brycxd,yx->brcd", squares, layer.weight.view(side, side)) + layer.bias


def _pooling(side: int) -> nn.Linear:
    """A pooling that begins as the mean."""
    layer = nn.Linear(side**2, 1)
    nn.init.constant_(layer.weight, 1 / side**2)
    nn.init.zeros_(layer.bias)
    return layer
