"""Slow MRCFA: one frame triple and target at a time, one reference token and one pixel at a time.

Read from Sun et al., "Mining Relations among Cross-Frame Affinities for Video Semantic
Segmentation", ECCV 2022; float64 throughout. `weights` are by their published names.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]


def frame_logits(weights: Weights, stages: list[Array]) -> Array:
    """Logits (C, h_1, w_1) of a frame on its own; stages are (C_i, h_i, w_i), finest first."""
    return linear(fused(weights, stages), weights, "linear_pred")


def clip_logits(weights: Weights, frames: list[list[Array]], keep_ratio: float) -> list[Array]:
    """Logits of the target (the last frame): from each reference alone, then the final ones."""
    *references, target = frames
    size = target[1].shape[1:]
    own = resize(fused(weights, target), size)
    found = [retrieve(weights, target, reference, keep_ratio) for reference in references]
    read = [*found, sum(found) / len(found) + own]
    return [
        resize(linear(maps, weights, f"deco{i}.smalldecoder.1"), target[0].shape[1:])
        for i, maps in enumerate(read, start=1)
    ]


def fused(weights: Weights, stages: list[Array]) -> Array:
    """All stages at the size of the first, concatenated coarsest first, mixed, normalised."""
    resized = [
        resize(linear(stages[i - 1], weights, f"linear_c{i}.proj"), stages[0].shape[1:])
        for i in (4, 3, 2, 1)
    ]
    mixed = linear(
        np.concatenate(resized),
        {**weights, "linear_fuse.conv.bias": np.zeros(1)},
        "linear_fuse.conv",
    )
    for c in range(len(mixed)):
        name = "linear_fuse.bn."
        mixed[c] -= weights[name + "running_mean"][c]
        mixed[c] /= np.sqrt(weights[name + "running_var"][c] + 1e-5)
        mixed[c] = mixed[c] * weights[name + "weight"][c] + weights[name + "bias"][c]
    return np.maximum(mixed, 0)


def retrieve(
    weights: Weights, target: list[Array], reference: list[Array], keep_ratio: float
) -> Array:
    """What each position of the target finds in a reference, (E, h_2, w_2)."""
    size = target[1].shape[1:]
    values = convolve(resize(fused(weights, reference), size), weights, "sr1_feat", stride=4)
    grid = values.shape[1:]
    reduced = {
        2: convolve(reference[1], weights, "sr2", stride=4),
        3: convolve(reference[2], weights, "sr3", stride=2),
        4: reference[3],
    }
    affinities = {}  # of stage: (positions of the target, rows of tokens, columns of tokens)
    for stage in (2, 3, 4):
        name = "hypercorre_module."
        query = linear(target[stage - 1], weights, f"{name}q{stage - 1}")
        key = linear(reduced[stage], weights, f"{name}k{stage - 1}")
        positions = [(y, x) for y in range(query.shape[1]) for x in range(query.shape[2])]
        affinities[stage] = np.array([np.tensordot(query[:, y, x], key, 1) for y, x in positions])

    # Selective token masking: the best tokens by their five largest affinities on stage 4.
    largest = np.sort(affinities[4], axis=0)[-5:]
    scores = resize(largest.sum(0)[None], grid)[0]
    tokens = sorted(np.ndindex(*grid), key=lambda token: -scores[token])
    tokens = tokens[: max(1, int(len(tokens) * keep_ratio))]

    refined = []
    for token in tokens:
        pictures = {
            stage: resize(all_tokens, grid)[:, *token].reshape(1, *target[stage - 1].shape[1:])
            for stage, all_tokens in affinities.items()
        }
        refined.append(aggregate(weights, pictures))

    found = np.zeros((len(values), *size))
    for y, x in np.ndindex(*size):
        exponentials = np.exp([picture[y, x] for picture in refined])
        for share, token in zip(exponentials / exponentials.sum(), tokens, strict=True):
            found[:, y, x] += share * values[:, *token]
    return found


def aggregate(weights: Weights, pictures: dict[int, Array]) -> Array:
    """Single-scale refinement and multi-scale aggregation of one token's affinities, (h_2, w_2)."""
    refined = {stage: refine(pictures[stage], weights, f"layer{stage}") for stage in (2, 3, 4)}
    mixed = resize(refined[4], refined[3].shape[1:], corners=True) + refined[3]
    mixed = refine(mixed, weights, "layer4to3")
    mixed = resize(mixed, refined[2].shape[1:], corners=True) + refined[2]
    return refine(mixed, weights, "layer3to2")[0]


def refine(maps: Array, weights: Weights, layer: str) -> Array:
    """Convolutions, each normalised over the whole picture and rectified."""
    prefix = f"hypercorre_module.hpn.encoder_{layer}."
    for i in range(0, 6, 3):
        if f"{prefix}{i}.conv2.weight" not in weights:
            break
        maps = convolve(maps, weights, f"{prefix}{i}.conv2", stride=1)
        maps = (maps - maps.mean()) / np.sqrt(maps.var() + 1e-5)
        gain, shift = weights[f"{prefix}{i + 1}.weight"], weights[f"{prefix}{i + 1}.bias"]
        maps = np.maximum(maps * gain[:, None, None] + shift[:, None, None], 0)
    return maps


def linear(maps: Array, weights: Weights, name: str) -> Array:
    """A linear layer at every pixel."""
    weight = weights[f"{name}.weight"]
    result = np.tensordot(weight.reshape(len(weight), -1), maps, 1)
    return result + weights[f"{name}.bias"][:, None, None]


def convolve(maps: Array, weights: Weights, name: str, stride: int) -> Array:
    """A convolution: centred for stride 1, else patch by patch, whole patches only.

    A map smaller than one patch is filled up with zeros at the right and below.
    """
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    kernel = weight.shape[-1]
    if stride == 1:
        maps = np.pad(maps, ((0, 0), *[(kernel // 2, kernel // 2)] * 2))
    else:
        maps = np.pad(maps, ((0, 0), *[(0, max(0, kernel - side)) for side in maps.shape[1:]]))
    rows, columns = [(side - kernel) // stride + 1 for side in maps.shape[1:]]
    result = np.zeros((len(weight), rows, columns))
    for y, x in np.ndindex(rows, columns):
        top, left = y * stride, x * stride
        patch = maps[:, top : top + kernel, left : left + kernel]
        result[:, y, x] = [np.sum(patch * one) for one in weight] + bias
    return result


def resize(maps: Array, size: Any, corners: bool = False) -> Array:
    """Bilinear interpolation; outer edges meet, or with `corners` the centres of corner pixels."""
    result = np.zeros((len(maps), *size))
    for y, x in np.ndindex(*size):
        for row, down in neighbours(y, size[0], maps.shape[1], corners):
            for column, right in neighbours(x, size[1], maps.shape[2], corners):
                result[:, y, x] += down * right * maps[:, row, column]
    return result


def neighbours(index: int, size: int, old: int, corners: bool) -> list[tuple[int, float]]:
    """The two old pixels around a new one, with their weights."""
    if corners:
        place = index * (old - 1) / (size - 1) if size > 1 else 0.0
    else:
        place = min(max((index + 0.5) * old / size - 0.5, 0.0), old - 1.0)
    first = min(int(place), old - 1)
    second = min(first + 1, old - 1)
    return [(first, 1 - (place - first)), (second, place - first)]
