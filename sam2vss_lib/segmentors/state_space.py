"""Mamba blocks over windows of several frames, as TV3S stacks them.

Blocks alternate between two layouts of windows. The shifted one is the plain one moved down and
right, with the windows at the edges cut off there: each of those is a sequence of its own. (The
published code rolls the map and cuts it into nine pieces, which comes to the same.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.segmentors.selective_scan import selective_scan

#: of one group of windows: the last inputs of the convolution (N, D, K - 1), the scan's (N, D, S)
MixerState = tuple[Tensor, Tensor]
#: of one block, by group of windows; empty before a clip's first frame
BlockState = dict[int, MixerState]

_EPS = 1e-5


class Mixer(nn.Module):
    """Mamba's mixer, under its published names (`A_log`, `D`, `in_proj`, ...).

    Args:
        dim: E, channels of the tokens; D of the scan is `expand` times that.
        state_dim: S.
        expand: inner channels over E.
        kernel: K, taps of the causal convolution.
    """

    def __init__(self, dim: int, state_dim: int = 16, expand: int = 2, kernel: int = 4) -> None:
        super().__init__()
        inner, self._rank = expand * dim, math.ceil(dim / 16)
        self._state_dim = state_dim
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner)
        self.x_proj = nn.Linear(inner, self._rank + 2 * state_dim, bias=False)
        self.dt_proj = nn.Linear(self._rank, inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.A_log = nn.Parameter(torch.arange(1.0, state_dim + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        with torch.no_grad():  # as published: steps of 0.001 to 0.1 to begin with
            self.dt_proj.weight.uniform_(-(self._rank**-0.5), self._rank**-0.5)
            steps = torch.exp(torch.empty(inner).uniform_(math.log(1e-3), math.log(1e-1)))
            self.dt_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus undone

    def forward(self, tokens: Tensor, state: MixerState | None) -> tuple[Tensor, MixerState]:
        """Mix sequences of tokens.

        Args:
            tokens: (N, L, E).
            state: that the tokens before ended with, or None.

        Returns:
            (N, L, E), and the state at the end.
        """
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)
        x = x.transpose(1, 2)  # (N, D, L)
        taps = self.conv1d.kernel_size[0] - 1
        before = x.new_zeros(*x.shape[:2], taps) if state is None else state[0].to(x.dtype)
        x = torch.cat((before, x), 2)
        tail = x[..., x.shape[-1] - taps :]
        x = F.silu(self.conv1d(x)).transpose(1, 2)
        sizes = (self._rank, self._state_dim, self._state_dim)
        dt, b, c = self.x_proj(x).split(sizes, dim=-1)
        dt = F.softplus(self.dt_proj(dt).float())
        start = None if state is None else state[1]
        y, end = selective_scan(x, dt, -self.A_log.float().exp(), b, c, self.D, start)
        return self.out_proj((y * F.silu(gate.float())).to(gate.dtype)), (tail, end)


class RmsNorm(nn.Module):
    """Root mean square norm over channels, in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., E) to the same."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), _EPS)


class Block(nn.Module):
    """Norm and mixer of one layer, under their published names."""

    def __init__(self, dim: int, state_dim: int, expand: int) -> None:
        super().__init__()
        self.mixer = Mixer(dim, state_dim, expand)
        self.norm = RmsNorm(dim)

    def forward(self, tokens: Tensor, windows: Sequence[Tensor], state: BlockState) -> Tensor:
        """Mix the tokens of every window through all frames.

        Args:
            tokens: (B, T, H * W, E).
            windows: as `window_groups` gives them.
            state: what frames before left; is brought up to date.

        Returns:
            (B, T, H * W, E).
        """
        tokens = self.norm(tokens)
        mixed = list[Tensor]()
        for group, positions in enumerate(windows):
            picked = tokens[:, :, positions].transpose(1, 2)  # (B, windows, T, tokens, E)
            sequences = picked.flatten(2, 3).flatten(0, 1)
            out, state[group] = self.mixer(sequences, state.get(group))
            mixed.append(out.reshape(picked.shape).transpose(1, 2).flatten(2, 3))
        order = torch.cat([positions.flatten() for positions in windows])
        return torch.cat(mixed, 2)[:, :, order.argsort()]


class WindowedBlocks(nn.Module):
    """The blocks with their residual stream and the norm behind them, under their published names.

    Args:
        dim: E.
        depth: blocks; every second one has shifted windows.
        window: side of a window, in cells.
        shift: of the shifted windows, in cells.
        state_dim: S of the mixers.
        expand: of the mixers.
    """

    def __init__(
        self, dim: int, depth: int, window: int, shift: int, state_dim: int, expand: int
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(dim, state_dim, expand) for _ in range(depth)])
        self.norm_f = RmsNorm(dim)
        self._window, self._shift = window, shift

    def new_state(self) -> list[BlockState]:
        """The state of every block before a clip's first frame."""
        return [{} for _ in self.layers]

    def forward(self, grids: Tensor, states: list[BlockState]) -> Tensor:
        """Mix the cells of frames that follow each other.

        Args:
            grids: (B, T, E, H, W); H and W are multiples of the window.
            states: of the blocks; brought up to date.

        Returns:
            (B, T, E, H, W) float32.
        """
        size = grids.shape[3:]
        hidden = grids.flatten(3).transpose(2, 3)  # (B, T, H * W, E)
        residual = torch.zeros_like(hidden, dtype=torch.float32)
        for i, (block, state) in enumerate(zip(self.layers, states, strict=True)):
            residual = residual + hidden
            windows = window_groups(*size, self._window, self._shift * (i % 2))
            hidden = block(residual, [group.to(grids.device) for group in windows], state)
        return self.norm_f(residual + hidden).transpose(2, 3).unflatten(3, size)


@cache
@torch.inference_mode(False)  # what is kept must be usable in training too
def window_groups(height: int, width: int, window: int, shift: int) -> tuple[Tensor, ...]:
    """Windows of a map, those of as many cells together.

    Args:
        height: of the map, a multiple of `window`.
        width: likewise.
        window: side of a window that no edge cuts.
        shift: of the windows, down and to the right; 0 for none.

    Returns:
        (windows, cells) int64 each: positions in the flattened map, row by row in every window.
        Every cell is in one window.
    """
    cells = torch.arange(height * width).view(height, width)
    groups = dict[int, list[Tensor]]()
    for rows in _spans(height, window, shift):
        for columns in _spans(width, window, shift):
            positions = cells[rows, columns].flatten()
            groups.setdefault(len(positions), []).append(positions)
    return tuple(torch.stack(group) for group in groups.values())


def _spans(length: int, window: int, shift: int) -> Iterator[slice]:
    edges = sorted({0, length, *range(shift, length, window)})
    for start, end in pairwise(edges):
        yield slice(start, end)
