"""Slow TV3S: one clip, one window and one token of it at a time.

Read from Hesham et al., "Exploiting Temporal State Space Sharing for Video Semantic Segmentation",
CVPR 2025, and Gu and Dao, "Mamba", Algorithm 2; float64 throughout. `weights` are by their
published names. Shifted windows are those of the rolled map, whose last row and column of windows
are cut where the map's ends meet.
"""

from collections.abc import Iterator
from math import ceil

import numpy as np

from tests.oracles.mrcfa import Array, Weights, fused, linear, resize

__all__ = ["clip_features", "clip_logits"]


def clip_logits(weights: Weights, frames: list[list[Array]], window: int, shift: int) -> Array:
    """Logits (C, h_1, w_1) of the last frame; stages are (C_i, h_i, w_i), finest first."""
    logits = linear(clip_features(weights, frames, window, shift), weights, "linear_pred2")
    return resize(logits, frames[-1][0].shape[1:])


def clip_features(weights: Weights, frames: list[list[Array]], window: int, shift: int) -> Array:
    """The last frame (E, h, w) behind all blocks."""
    grids = []
    for stages in frames:
        _, height, width = stages[0].shape
        size = [max(1, ceil(side // 2 / window)) * window for side in (height, width)]
        grids.append(resize(fused(weights, stages), tuple(size)).transpose(1, 2, 0))
    hidden = np.stack(grids)  # (T, h, w, E)
    residual = np.zeros_like(hidden)
    block = 0
    while (name := f"vs.layers.{block}.") + "mixer.D" in weights:
        mixer = {key.removeprefix(f"{name}mixer."): value for key, value in weights.items()}
        residual = residual + hidden
        hidden = np.full_like(residual, np.nan)
        moved = shift if block % 2 else 0
        height, width = residual.shape[1:3]
        for cells in windows(height, width, window, moved):
            tokens = [(t, y, x) for t in range(len(hidden)) for y, x in cells]
            inputs = [norm(residual[at], weights[name + "norm.weight"]) for at in tokens]
            for at, output in zip(tokens, mixed(mixer, inputs), strict=True):
                hidden[at] = output
        block += 1
    last = (residual + hidden)[-1]
    for y, x in np.ndindex(*last.shape[:2]):
        last[y, x] = norm(last[y, x], weights["vs.norm_f.weight"])
    return last.transpose(2, 0, 1)


def windows(height: int, width: int, window: int, shift: int) -> Iterator[list[tuple[int, int]]]:
    """Cells (y, x) of every window, row by row."""
    for top in range(0, height, window):
        for left in range(0, width, window):
            rows = [range(top, top + window)]
            columns = [range(left, left + window)]
            if shift and top + window == height:
                rows = [range(top, height - shift), range(height - shift, height)]
            if shift and left + window == width:
                columns = [range(left, width - shift), range(width - shift, width)]
            for ys in rows:
                for xs in columns:
                    yield [((y + shift) % height, (x + shift) % width) for y in ys for x in xs]


def norm(token: Array, weight: Array) -> Array:
    return token / np.sqrt(np.mean(token**2) + 1e-5) * weight


def mixed(w: Weights, inputs: list[Array]) -> Iterator[Array]:
    """Mamba's mixer over a sequence of tokens (E,)."""
    inner, state_dim = w["A_log"].shape
    taps = w["conv1d.weight"].shape[2]
    rank = w["dt_proj.weight"].shape[1]
    latest = [np.zeros(inner)] * taps
    state = np.zeros((inner, state_dim))
    for token in inputs:
        both = w["in_proj.weight"] @ token
        x, gate = both[:inner], both[inner:]
        latest = [*latest[1:], x]
        x = sum((latest[k] * w["conv1d.weight"][:, 0, k] for k in range(taps)), w["conv1d.bias"])
        x = silu(x)
        projected = w["x_proj.weight"] @ x
        b, c = projected[rank : rank + state_dim], projected[rank + state_dim :]
        dt = np.log1p(np.exp(w["dt_proj.weight"] @ projected[:rank] + w["dt_proj.bias"]))
        for d in range(inner):
            decay = np.exp(-dt[d] * np.exp(w["A_log"][d]))
            state[d] = decay * state[d] + dt[d] * b * x[d]
        yield w["out_proj.weight"] @ ((state @ c + w["D"] * x) * silu(gate))


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))
