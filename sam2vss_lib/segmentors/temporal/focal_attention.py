"""Focal attention across frames, the core of CFFM: fine nearby, coarse far off in space and time.

Each window of the target frame attends to itself, to a ring of pixels around it, to the pooled
windows around it, and to pooled tokens of every reference frame, the coarser and the wider the
older the reference (Sun et al., "Coarse-to-Fine Feature Mining for Video Semantic Segmentation",
CVPR 2022, Sections 3.2 and 3.3). Only the target is refined; the references stay as they are.

Maps are padded with zeros to whole windows, and that padding is attended to; the ring wraps around
the edges of the map; pooled positions outside the map are masked. All three are as published.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.errors import SettingsError

_SHIFTS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # down and right, in units of `expand`
_MASKED = -100.0  # added to the logit of a position outside the map
_WINDOWS_AT_ONCE = 32  # bounds the memory; each window has copies of its keys and its own mask


@dataclass(frozen=True)
class FocalGeometry:
    """Which tokens a window attends to; the defaults are the published ones."""

    window: int = 7  # side of a window, in pixels of the map
    expand: int = 3  # width of the ring around a window, in pixels of the map
    target_kernel: int = 5  # side of the square of pooled windows of the target, odd
    # pooled tokens along the side of a window, per reference, oldest first
    reference_levels: tuple[int, ...] = (1, 2, 3)
    # side of the square of pooled tokens, per reference, odd
    reference_kernels: tuple[int, ...] = (7, 5, 3)

    def __post_init__(self) -> None:
        if len(self.reference_levels) != len(self.reference_kernels):
            raise SettingsError("reference_levels and reference_kernels differ in length")
        if not 0 < self.expand < self.window:
            raise SettingsError(f"expand {self.expand} is not within 1..{self.window - 1}")
        for level, kernel in self.pooled:
            if not 1 <= level <= self.window or kernel < 1 or kernel % 2 == 0:
                raise SettingsError(
                    f"level {level} with kernel {kernel}: levels lie within 1..{self.window}, "
                    "kernels are odd"
                )

    @property
    def pooled(self) -> tuple[tuple[int, int], ...]:
        """Level and kernel of the target's pooled windows, then of each reference's tokens."""
        references = zip(self.reference_levels, self.reference_kernels, strict=True)
        return ((1, self.target_kernel), *references)

    def ring(self) -> Tensor:
        """Which pixels of the four windows shifted diagonally by `expand` lie outside the window.

        Returns:
            Ascending positions in the flattened (4, window, window), shifts in the order of
            `_SHIFTS`; pixels in two shifted windows are there twice.
        """

        def leaves(shift: int) -> Tensor:
            moved = torch.arange(self.window) + shift * self.expand
            return (moved < 0) | (moved >= self.window)

        outside = [leaves(dy)[:, None] | leaves(dx) for dy, dx in _SHIFTS]
        return torch.stack(outside).flatten().nonzero().flatten()


def relative_positions(window: int, kernel: int) -> Tensor:
    """Entry of a bias table for each pixel of a window and each position of a square of keys.

    Windows and squares are given by their sides.

    Returns:
        (window ** 2, kernel ** 2) int64 in 0..(window + kernel - 1) ** 2 - 1.
    """
    query, key = torch.arange(window), torch.arange(kernel)
    apart = query[:, None] - key + kernel - 1  # along one axis
    rows = apart[:, None, :, None] * (window + kernel - 1)
    return (rows + apart[None, :, None, :]).reshape(window**2, kernel**2)


def key_index(geometry: FocalGeometry, ring: Tensor, rows: int, columns: int) -> Tensor:
    """Where the keys of each window stand in the list of tokens.

    The list has the target's pixels, window by window, then the pooled tokens in the order of
    `geometry.pooled`, each map row by row, and at its end one token for all that lies outside.

    Args:
        geometry: what a window attends to.
        ring: `geometry.ring()`.
        rows: windows along the height.
        columns: windows along the width.

    Returns:
        (rows * columns, keys) int64, on the device of `ring`.
    """
    side, device = geometry.window, ring.device
    row = torch.arange(rows, device=device)[:, None, None]
    column = torch.arange(columns, device=device)[None, :, None]
    shifts = geometry.expand * torch.tensor(((0, 0), *_SHIFTS), device=device)
    own = torch.arange(side**2, device=device)
    fine = torch.cat((own, side**2 + ring))  # positions in the window and its shifted copies
    dy, dx = shifts[fine // side**2].unbind(1)
    y = (row * side + fine % side**2 // side + dy) % (rows * side)
    x = (column * side + fine % side + dx) % (columns * side)
    window = y // side * columns + x // side
    parts = [window * side**2 + y % side * side + x % side]
    start = rows * columns * side**2
    for level, kernel in geometry.pooled:
        reach = torch.arange(kernel, device=device) - kernel // 2
        y = row * level + reach.repeat_interleave(kernel)
        x = column * level + reach.repeat(kernel)
        inside = (y >= 0) & (y < rows * level) & (x >= 0) & (x < columns * level)
        parts.append(torch.where(inside, start + y * columns * level + x, -1))
        start += rows * columns * level**2
    index = torch.cat(parts, dim=2).flatten(0, 1)
    return torch.where(index < 0, start, index)


class FocalAttention(nn.Module):
    """Attention of the windows of the target to the tokens of all frames."""

    relative_position_index: Tensor
    valid_ind_rolled: Tensor

    def __init__(self, dim: int, heads: int, geometry: FocalGeometry) -> None:
        super().__init__()
        self.heads = heads
        self.geometry = geometry
        side = geometry.window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_positions(side, side))
        self.register_buffer("valid_ind_rolled", geometry.ring())
        self.relative_position_bias_table_to_neighbors = _bias(
            1, heads, side**2, len(self.valid_ind_rolled)
        )
        (_, kernel), *references = geometry.pooled
        self.relative_position_bias_table_to_windows = nn.ParameterList(
            [_bias(heads, (side + kernel - 1) ** 2)]
        )
        self.register_buffer("relative_position_index_0", relative_positions(side, kernel))
        self.relative_position_bias_table_to_windows_clips = nn.ParameterList(
            [_bias(heads, (side + kernel - 1) ** 2) for _, kernel in references]
        )
        for i, (_, kernel) in enumerate(references):
            index = relative_positions(side, kernel)
            self.register_buffer(f"relative_position_index_clips_{i}", index)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """Attend.

        Args:
            tokens: (B, N, D), the list of `key_index` without its last.
            rows: windows along the height.
            columns: windows along the width.

        Returns:
            (B, rows * columns * window ** 2, D), the target's pixels window by window.
        """
        _, _, dim = tokens.shape
        area = self.geometry.window**2
        index = key_index(self.geometry, self.valid_ind_rolled, rows, columns)
        weights, biases = self.qkv.weight, self.qkv.bias
        query = F.linear(tokens[:, : rows * columns * area], weights[:dim], biases[:dim])
        key_value = F.linear(tokens, weights[dim:], biases[dim:])
        outside = key_value.shape[1]  # a token of zeros: padding comes after the projection
        key_value = F.pad(key_value, (0, 0, 0, 1))
        mask = torch.where(index == outside, _MASKED, 0.0)[:, None, None].to(query.dtype)
        bias = self._position_bias().to(query.dtype)
        parts = zip(
            query.unflatten(1, (-1, area)).split(_WINDOWS_AT_ONCE, dim=1),
            index.split(_WINDOWS_AT_ONCE),
            mask.split(_WINDOWS_AT_ONCE),
            strict=True,
        )
        attended = [
            self._attend(q, key_value.index_select(1, i.flatten()).unflatten(1, i.shape), bias + m)
            for q, i, m in parts
        ]
        return self.proj(torch.cat(attended, dim=1).flatten(1, 2))

    def _attend(self, query: Tensor, key_value: Tensor, bias: Tensor) -> Tensor:
        """Attention within each of some windows.

        Args:
            query: (B, windows, window ** 2, D), and so is the result.
            key_value: (B, windows, keys, 2 D).
            bias: added to the logits, (windows, heads, window ** 2, keys).
        """
        batch = len(query)
        query, key, value = (
            part.flatten(0, 1).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (query, *key_value.chunk(2, dim=3))
        )
        bias = bias.expand(batch, *bias.shape).flatten(0, 1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return attended.transpose(1, 2).flatten(2).unflatten(0, (batch, -1))

    def _position_bias(self) -> Tensor:
        """(heads, window ** 2, keys), in the order of the keys."""
        own = self.relative_position_bias_table.t()[:, self.relative_position_index]
        target = self.relative_position_bias_table_to_windows[0]
        pooled = [target[:, self.get_buffer("relative_position_index_0")]]
        for i, table in enumerate(self.relative_position_bias_table_to_windows_clips):
            pooled.append(table[:, self.get_buffer(f"relative_position_index_clips_{i}")])
        return torch.cat((own, self.relative_position_bias_table_to_neighbors[0], *pooled), dim=2)


def _bias(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))
