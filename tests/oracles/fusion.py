"""Slow evidence: the adaptive vote pixel by pixel, from what its columns are said to be."""

import math
from collections import Counter, defaultdict
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tests.oracles.refinement import VOID, Map, Masklet, count, winner

Pixel = tuple[int, int]
Dispute = tuple[int, int, int]  # masklet, base's class, vote's class


def adaptive_window(
    images: list[NDArray[np.uint8]],
    predictions: list[Map],
    probabilities: list[NDArray[np.float16]] | None,
    masklets: list[Masklet],
    margin: float,
) -> list[Map]:
    """Refined labels of a window's frames without a gate, smaller masklets on top."""
    votes = [
        sum((count(p, m.masks[t]) for t, p in enumerate(predictions)), Counter()) for m in masklets
    ]
    classes = [winner(one) for one in votes]
    tops = [top_of(masklets, classes, t, p.shape) for t, p in enumerate(predictions)]
    said = {i: label for i, label in enumerate(classes) if label is not None}
    disputes: list[dict[Pixel, Dispute]] = [
        {
            at: (i, int(base[at]), said[i])
            for at, i in top.items()
            if base[at] != VOID and base[at] != said[i]
        }
        for base, top in zip(predictions, tops, strict=True)
    ]
    colour = colours(images, predictions, tops, classes)
    scores = []
    for t, here in enumerate(disputes):
        parts = fragments(here)
        own = {
            at: colour(("class", b), images[t][at]) - colour(("masklet", i), images[t][at])
            for at, (i, b, _) in here.items()
        }
        for at, (i, b, v) in here.items():
            total = sum(votes[i].values())
            own[at] = min(max(own[at], -6.0), 6.0)
            shares = [votes[i][label] / total + 0.02 for label in (b, v)]
            own[at] += math.log(shares[0] / shares[1]) / 3
        for part in parts:
            ratio = 0.0
            if probabilities is not None:
                ratio = np.mean([log_ratio(probabilities[t], at, here[at], predictions[t].shape)
                                 for at in part])  # fmt: skip
            edge = outline(part, here[part[0]], predictions[t])
            for at in part:
                own[at] += float(ratio) + edge
        scores.append(own)
    refined = []
    for t, (base, top) in enumerate(zip(predictions, tops, strict=True)):
        labels = base.copy()
        for at, i in top.items():
            labels[at] = said[i]
        for at in disputes[t]:
            if steady(scores, disputes, t, at) > margin:
                labels[at] = base[at]
        refined.append(labels)
    return refined


def top_of(
    masklets: list[Masklet], classes: list[int | None], t: int, shape: tuple[int, ...]
) -> dict[Pixel, int]:
    """The smallest masklet with a class on each pixel that has one, the later among equals."""
    found = {}
    for at in product(*map(range, shape)):
        areas = {
            i: int(m.masks[t].sum())
            for i, m in enumerate(masklets)
            if m.masks[t][at] and classes[i] is not None
        }
        if areas:
            found[at] = max(i for i, area in areas.items() if area == min(areas.values()))
    return found


def fragments(here: dict[Pixel, Dispute]) -> list[list[Pixel]]:
    """Connected pixels of one dispute, corners connecting, by flooding."""
    left, found = set(here), []
    while left:
        part = [left.pop()]
        for y, x in part:  # grows while it is gone through
            for at in product((y - 1, y, y + 1), (x - 1, x, x + 1)):
                if at in left and here[at] == here[y, x]:
                    left.remove(at)
                    part.append(at)
        found.append(part)
    return found


def log_ratio(
    probabilities: NDArray[np.float16], at: Pixel, dispute: Dispute, shape: tuple[int, ...]
) -> float:
    """Log p(base's class) - log p(vote's class), p between the four places around the pixel."""
    weights: dict[Pixel, float] = defaultdict(float)
    axes = []
    for place, frame, size in zip(at, shape, probabilities.shape[1:], strict=True):
        exact = min(max((place + 0.5) * size / frame - 0.5, 0), size - 1)
        low = math.floor(exact)
        axes.append([(low, 1 - (exact - low)), (min(low + 1, size - 1), exact - low)])
    for (y, down), (x, across) in product(*axes):
        weights[y, x] += down * across
    chances = [
        sum(weight * float(probabilities[label, y, x]) for (y, x), weight in weights.items())
        for label in dispute[1:]
    ]
    return math.log((chances[0] + 1e-4) / (chances[1] + 1e-4))


def outline(part: list[Pixel], dispute: Dispute, base: Map) -> float:
    """Sides of the fragment towards the base's class less those towards the vote's, as a share."""
    _, b, v = dispute
    inside, balance, sides = set(part), 0, 0
    for y, x in part:
        for at in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if at not in inside:
                sides += 1
                within = 0 <= at[0] < base.shape[0] and 0 <= at[1] < base.shape[1]
                label = base[at] if within else VOID
                balance += int(label == b) - int(label == v)
    return balance / max(sides, 1)


def colours(
    images: list[NDArray[np.uint8]],
    predictions: list[Map],
    tops: list[dict[Pixel, int]],
    classes: list[int | None],
):
    """Log-densities of colours among agreed pixels of classes and masklets, as a function."""
    counts: dict[tuple[str, int], Counter] = defaultdict(Counter)
    for t in range(0, len(images), 2):
        for at, i in tops[t].items():
            agreed = predictions[t][at] == classes[i]
            if agreed and at[0] % 2 == 0 and at[1] % 2 == 0:
                bin_ = tuple(int(c) // 32 for c in images[t][at])
                counts["class", int(predictions[t][at])][bin_] += 1
                counts["masklet", i][bin_] += 1
    kernel = {d: math.exp(-0.5 * (d / 0.7) ** 2) for d in range(-2, 3)}
    whole = sum(kernel.values())

    def log_density(owner: tuple[str, int], colour: NDArray[np.uint8]) -> float:
        r, g, b = (int(c) // 32 for c in colour)
        blurred = sum(
            counts[owner][r + i, g + j, b + k] * kernel[i] * kernel[j] * kernel[k] / whole**3
            for i, j, k in product(kernel, repeat=3)
        )
        return math.log((blurred + 1e-3) / (sum(counts[owner].values()) + 1))

    return log_density


def steady(
    scores: list[dict[Pixel, float]], disputes: list[dict[Pixel, Dispute]], t: int, at: Pixel
) -> float:
    """Half the score, 0.35 of the mean on five frames in the same dispute, 0.15 of that of all."""
    dispute = disputes[t][at]
    near = [
        scores[s][at]
        for s in range(max(t - 2, 0), min(t + 3, len(scores)))
        if disputes[s].get(at) == dispute
    ]
    every = [
        value for s, own in enumerate(scores) for p, value in own.items()
        if disputes[s][p] == dispute
    ]  # fmt: skip
    return 0.5 * scores[t][at] + 0.35 * float(np.mean(near)) + 0.15 * float(np.mean(every))
