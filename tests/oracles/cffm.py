"""Slow CFFM: one clip, one window of the target and one key of it at a time.

Read from Sun et al., "Coarse-to-Fine Feature Mining for Video Semantic Segmentation", CVPR 2022;
float64 throughout. `weights` are by their published names. Positions outside a map of pooled tokens
do not exist here, and a window has its ring where a map that repeats itself has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np

from tests.oracles.mrcfa import Array, Weights, frame_logits, fused, linear, resize

__all__ = ["Focus", "clip_features", "clip_logits", "frame_logits"]


@dataclass(frozen=True)
class Focus:
    """What a window attends to, as published."""

    window: int = 7  # side, in pixels
    ring: int = 3  # width, in pixels
    target: tuple[int, int] = (1, 5)  # tokens along the side of a window, side of their square
    references: tuple[tuple[int, int], ...] = ((1, 7), (2, 5), (3, 3))
    reduction: int = 2  # of the sides of the fused map


def clip_logits(weights: Weights, frames: list[list[Array]], focus: Focus) -> Array:
    """Logits (C, h_1, w_1) of the last frame; stages are (C_i, h_i, w_i), finest first."""
    logits = linear(clip_features(weights, frames, focus), weights, "linear_pred2")
    return resize(logits, frames[-1][0].shape[1:])


def clip_features(weights: Weights, frames: list[list[Array]], focus: Focus) -> Array:
    """The last frame, plain and refined, one on the other, at a fraction of its first stage."""
    maps = []
    for stages in frames:
        size = [side // focus.reduction for side in stages[0].shape[1:]]
        maps.append(resize(fused(weights, stages), size).transpose(1, 2, 0))
    *references, target = maps
    refined, block = target, 0
    while (name := f"decoder_focal.blocks.{block}.") + "norm1.weight" in weights:
        refined = refine(part(weights, name), refined, references, focus)
        block += 1
    return np.concatenate([target, refined], axis=2).transpose(2, 0, 1)


def refine(w: Weights, target: Array, references: list[Array], focus: Focus) -> Array:
    """One block on maps (h, w, E)."""
    height, width, _ = target.shape
    rows, columns = -(-height // focus.window), -(-width // focus.window)
    maps = []
    for frame in (target, *references):
        whole = np.zeros((rows * focus.window, columns * focus.window, frame.shape[2]))
        for y, x in np.ndindex(height, width):
            whole[y, x] = normalised(frame[y, x], w, "norm1")
        maps.append(whole)

    pooled = [pool(maps[0], rows, columns, w, "pool_layers.0")]
    for i, (level, _) in enumerate(focus.references):
        name = f"pool_layers_clips.{i}"
        pooled.append(pool(maps[i + 1], rows * level, columns * level, w, name))

    result = target.copy()
    for row, column in np.ndindex(rows, columns):
        found = attend(part(w, "attn."), maps[0], pooled, row, column, focus)
        for (dy, dx), value in zip(np.ndindex(focus.window, focus.window), found, strict=True):
            y, x = row * focus.window + dy, column * focus.window + dx
            if y < height and x < width:
                result[y, x] += value
    for y, x in np.ndindex(height, width):
        hidden = dense(normalised(result[y, x], w, "norm2"), w, "mlp.fc1")
        hidden = np.array([0.5 * one * (1 + erf(one / sqrt(2))) for one in hidden])
        result[y, x] += dense(hidden, w, "mlp.fc2")
    return result


def pool(frame: Array, rows: int, columns: int, w: Weights, name: str) -> Array:
    """Weighted sums over the squares of a grid, to which the frame is resized if it must be."""
    side = round(sqrt(w[f"{name}.weight"].size))
    size = (rows * side, columns * side)
    if frame.shape[:2] != size:
        frame = resize(frame.transpose(2, 0, 1), size).transpose(1, 2, 0)
    result = np.zeros((rows, columns, frame.shape[2]))
    for row, column in np.ndindex(rows, columns):
        for share, (dy, dx) in zip(w[f"{name}.weight"][0], np.ndindex(side, side), strict=True):
            result[row, column] += share * frame[row * side + dy, column * side + dx]
        result[row, column] += w[f"{name}.bias"][0]
    return result


def attend(
    w: Weights, target: Array, pooled: list[Array], row: int, column: int, focus: Focus
) -> Array:
    """What each pixel of a window finds, (window ** 2, E)."""
    side, dim = focus.window, target.shape[2]
    heads = w["relative_position_bias_table"].shape[1]
    query, key, value = np.split(w["qkv.weight"], 3)
    query_bias, key_bias, value_bias = np.split(w["qkv.bias"], 3)
    keys = list(keys_of(w, target, pooled, row, column, focus))
    result = np.zeros((side**2, dim))
    k = np.array([key @ token + key_bias for token, _ in keys])
    v = np.array([value @ token + value_bias for token, _ in keys])
    for pixel, (dy, dx) in enumerate(np.ndindex(side, side)):
        q = query @ target[row * side + dy, column * side + dx] + query_bias
        bias = np.array([of_pixels[pixel] for _, of_pixels in keys])  # (keys, heads)
        for head, channels in enumerate(np.split(np.arange(dim), heads)):
            logits = k[:, channels] @ q[channels] / sqrt(dim // heads) + bias[:, head]
            shares = np.exp(logits - logits.max())
            result[pixel, channels] = shares / shares.sum() @ v[:, channels]
    return np.array([dense(one, w, "proj") for one in result])


def keys_of(
    w: Weights, target: Array, pooled: list[Array], row: int, column: int, focus: Focus
) -> Iterator[tuple[Array, Array]]:
    """The tokens that a window attends to, each with its bias (window ** 2, heads)."""
    side = focus.window
    top, left = row * side, column * side
    height, width, _ = target.shape
    table = w["relative_position_bias_table"].T
    for y, x in np.ndindex(side, side):
        yield target[top + y, left + x], relative_bias(table, y, x, side, side)

    # The ring, as what lies outside the window in its copies moved along the diagonals.
    neighbours = iter(w["relative_position_bias_table_to_neighbors"][0].transpose(2, 1, 0))
    for down, right in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        for y, x in np.ndindex(side, side):
            y, x = y + down * focus.ring, x + right * focus.ring
            if not (0 <= y < side and 0 <= x < side):
                yield target[(top + y) % height, (left + x) % width], next(neighbours)

    focuses = (focus.target, *focus.references)
    for i, (tokens, (level, kernel)) in enumerate(zip(pooled, focuses, strict=True)):
        which = f"windows_clips.{i - 1}" if i else "windows.0"
        table = w[f"relative_position_bias_table_to_{which}"]
        for y, x in np.ndindex(kernel, kernel):
            token_row = row * level - kernel // 2 + y
            token_column = column * level - kernel // 2 + x
            if 0 <= token_row < len(tokens) and 0 <= token_column < len(tokens[0]):
                bias = relative_bias(table, y, x, side, kernel)
                yield tokens[token_row, token_column], bias


def relative_bias(table: Array, y: int, x: int, side: int, kernel: int) -> Array:
    """Bias of one key for all pixels of a window, by how far it is right of and below each."""
    square = table.reshape(len(table), side + kernel - 1, side + kernel - 1)
    return np.array(
        [square[:, dy - y + kernel - 1, dx - x + kernel - 1] for dy, dx in np.ndindex(side, side)]
    )


def normalised(vector: Array, w: Weights, name: str) -> Array:
    """Layer normalisation."""
    vector = (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5)
    return vector * w[f"{name}.weight"] + w[f"{name}.bias"]


def dense(vector: Array, w: Weights, name: str) -> Array:
    """A linear layer on one vector."""
    return w[f"{name}.weight"] @ vector + w[f"{name}.bias"]


def part(weights: Weights, prefix: str) -> Weights:
    """The weights below a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
