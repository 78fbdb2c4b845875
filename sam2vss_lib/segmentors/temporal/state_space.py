"""Mamba blocks over windows of several frames, as TV3S stacks them.

Blocks alternate between two layouts of windows. The shifted one is the plain one moved down and
right, with the windows at the edges cut off there: each of those is a sequence of its own. (The
published code rolls the map and cuts it into nine pieces, which comes to the same.)
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.segmentors.temporal.selective_scan import (
    final_state,
    selective_scan,
    stretch_tokens,
)

#: of one group of windows: the last inputs of the convolution (K - 1, N, D), the scan's (N, D, S)
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
        """Mix sequences of tokens (N, L, E); fastest if they lie in memory as (L, N, E).

        Returns:
            (N, L, E), and the state at the end; `state` is that which the tokens before ended with.
        """
        x, dt, b, c, tail = self._read(tokens, state)
        y, end = selective_scan(x, dt, self._a(), b, c, self.D, state and state[1])
        gate = F.linear(tokens.transpose(0, 1), self.in_proj.weight[len(self.D) :])
        y = y.transpose(0, 1) * F.silu(gate.float())
        return self.out_proj(y.to(gate.dtype)).transpose(0, 1), (tail, end)

    def advance(self, tokens: Tensor, state: MixerState | None) -> MixerState:
        """The state that `forward` ends with, without its outputs."""
        x, dt, b, _, tail = self._read(tokens, state)
        return tail, final_state(x, dt, self._a(), b, state and state[1])

    def _a(self) -> Tensor:
        return -self.A_log.float().exp()

    def _read(self, tokens: Tensor, state: MixerState | None) -> tuple[Tensor, ...]:
        """What the scan reads, x, dt, b and c, and the last inputs of the convolution."""
        x = F.linear(tokens.transpose(0, 1), self.in_proj.weight[: len(self.D)])  # (L, N, D)
        taps = self.conv1d.weight[:, 0].t().contiguous()  # (K, D)
        before = x.new_zeros(len(taps) - 1, *x.shape[1:]) if state is None else state[0].to(x.dtype)
        length, x = len(x), torch.cat((before, x))
        tail = x[length:].clone()
        convolved = torch.addcmul(self.conv1d.get_parameter("bias"), x[:length], taps[0])
        for k, tap in enumerate(taps[1:], start=1):
            convolved = convolved.addcmul_(x[k : k + length], tap)
        x = F.silu(convolved)
        sizes = (self._rank, self._state_dim, self._state_dim)
        dt, b, c = self.x_proj(x).split(sizes, dim=-1)
        dt = F.softplus(self.dt_proj(dt).float())
        return *(tensor.transpose(0, 1) for tensor in (x, dt, b, c)), tail


class Block(nn.Module):
    """Norm and mixer of one layer, under their published names."""

    def __init__(self, dim: int, state_dim: int, expand: int) -> None:
        super().__init__()
        self.mixer = Mixer(dim, state_dim, expand)
        self.norm = nn.RMSNorm(dim, _EPS)

    def forward(self, tokens: Tensor, windows: Sequence[Tensor], state: BlockState) -> Tensor:
        """Mix the tokens of every window through all frames.

        Args:
            tokens: (T, H * W, B, E).
            windows: as `window_groups` gives them.
            state: what frames before left; is brought up to date.

        Returns:
            (T, H * W, B, E).
        """
        mixed = list[Tensor]()
        for group, positions in enumerate(windows):
            for part in self._stretches(tokens, positions):
                out, state[group] = self.mixer(part, state.get(group))
                mixed.append(out.transpose(0, 1).reshape(-1, *tokens.shape[2:]))
        order = torch.cat([_cells(tokens, positions).flatten() for positions in windows])
        return torch.cat(mixed).index_select(0, order.argsort()).view(tokens.shape)

    def advance(self, tokens: Tensor, windows: Sequence[Tensor], state: BlockState) -> None:
        """Bring `state` up to date as `forward` does, without its outputs."""
        for group, positions in enumerate(windows):
            for part in self._stretches(tokens, positions):
                state[group] = self.mixer.advance(part, state.get(group))

    def _stretches(self, tokens: Tensor, positions: Tensor) -> Iterator[Tensor]:
        """The normalised tokens of windows, (windows * B, l, E), as many as stay in the cache."""
        sequences = len(positions) * tokens.shape[2]
        length = stretch_tokens(sequences * self.mixer.A_log.numel(), tokens.device)
        for cells in _cells(tokens, positions).split(length):
            part = tokens.flatten(0, 1).index_select(0, cells.flatten())
            yield self.norm(part.view(len(cells), sequences, -1)).transpose(0, 1)


def _cells(tokens: Tensor, positions: Tensor) -> Tensor:
    """Where the tokens of windows are in the first two axes of all, (T * cells, windows)."""
    frames, count = tokens.shape[:2]
    starts = count * torch.arange(frames, device=positions.device)
    return (starts[:, None, None] + positions.t()).flatten(0, 1)


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
        self.norm_f = nn.RMSNorm(dim, _EPS)
        self._window, self._shift = window, shift

    def new_state(self) -> list[BlockState]:
        """The state of every block before a clip's first frame."""
        return [{} for _ in self.layers]

    def forward(self, grids: Sequence[Tensor], states: list[BlockState]) -> Tensor:
        """Mix the cells of frames that follow each other.

        Args:
            grids: (B, H, W, E) of each frame; H and W are multiples of the window.
            states: of the blocks; brought up to date.

        Returns:
            Of the last frame, (B, E, H, W) float32.
        """
        _, height, width, _ = grids[0].shape
        cells = torch.stack([grid.flatten(1, 2).transpose(0, 1) for grid in grids])
        residual = cells.float()  # (T, H * W, B, E)
        layers = cast(Iterable[Block], self.layers)
        for i, (block, state) in enumerate(zip(layers, states, strict=True)):
            shift = self._shift * (i % 2)
            groups = window_groups(height, width, self._window, shift)
            windows = [group.to(residual.device) for group in groups]
            if i == len(self.layers) - 1 and len(grids) > 1:
                block.advance(residual[:-1], windows, state)
                residual = residual[-1:]
            residual = residual + block(residual, windows, state)
        return self.norm_f(residual[-1]).permute(1, 2, 0).unflatten(2, (height, width))


@cache
@torch.inference_mode(False)  # what is kept must be usable in training too
def window_groups(height: int, width: int, window: int, shift: int) -> tuple[Tensor, ...]:
    """Windows of a map, those of as many cells together.

    The sides of the map are multiples of `window`, the side of a window that no edge cuts; windows
    are shifted down and to the right.

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
