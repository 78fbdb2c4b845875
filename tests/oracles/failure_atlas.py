"""Causes of harmed pixels one pixel at a time, as the words of `CAUSES` have them."""

from collections.abc import Iterator

import numpy as np

from sam2vss_lib.study.analyses.failure_atlas.causes import PURE, THIN_PX, Frame

VOID = 255
Pixel = tuple[int, int]


def pixels_of(frame: Frame, masklet: int) -> list[Pixel]:
    height, width = frame.truth.shape
    inside = frame.masks[masklet]
    return [(y, x) for y in range(height) for x in range(width) if inside[y, x]]


def labels_of(frame: Frame, masklet: int) -> list[int]:
    """True classes under a masklet, void left out."""
    found = [int(frame.truth[place]) for place in pixels_of(frame, masklet)]
    return [label for label in found if label != VOID]


def most_frequent(labels: list[int]) -> int:
    return min(set(labels), key=lambda label: (-labels.count(label), label))


def harmed_pixels(frame: Frame) -> list[Pixel]:
    height, width = frame.truth.shape
    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if frame.truth[y, x] != VOID
        and frame.base[y, x] == frame.truth[y, x]
        and frame.refined[y, x] != frame.truth[y, x]
    ]


def cause_of(window: list[Frame], now: int, place: Pixel) -> str:
    """The cause of one pixel, except that thin ones are several classes here."""
    frame = window[now]
    masklet = int(frame.top[place])
    if masklet < 0:
        return "no masklet"
    under = pixels_of(frame, masklet)
    unlabelled = [p for p in under if VOID in (frame.truth[p], frame.base[p])]
    if len(unlabelled) > len(under) / 2:
        return "void"
    for other in range(len(frame.masks)):
        if frame.masks[other][place] and frame.classes[other] == frame.truth[place]:
            return "competing masklets"
    seen = [earlier for earlier in window[:now] if labels_of(earlier, masklet)]
    labels = labels_of(frame, masklet)
    if seen:
        first = labels_of(seen[0], masklet)
        main = most_frequent(first)
        pure, stays = (one.count(main) >= PURE * len(one) for one in (first, labels))
        if pure and not stays:
            return "drift"
    if most_frequent(labels) != frame.classes[masklet]:
        return "wrong majority"
    return "several classes"


def near_another_label(frame: Frame, place: Pixel) -> bool:
    y, x = place
    around = frame.truth[
        max(y - THIN_PX, 0) : y + THIN_PX + 1, max(x - THIN_PX, 0) : x + THIN_PX + 1
    ]
    return bool((around != frame.truth[place]).any())


def touching(places: list[Pixel]) -> Iterator[list[Pixel]]:
    """Pixels in parts that touch, found by flooding."""
    left = set(places)
    while left:
        part, edge = list[Pixel](), [left.pop()]
        while edge:
            y, x = edge.pop()
            part.append((y, x))
            beside = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= beside
            edge += beside
        yield part


def fragments_of(window: list[Frame], now: int) -> list[tuple[str, int, list[Pixel]]]:
    """Cause, masklet and pixels of the fragments of a window's frame."""
    frame = window[now]
    groups: dict[tuple[str, int], list[Pixel]] = {}
    for place in harmed_pixels(frame):
        key = cause_of(window, now, place), int(frame.top[place])
        groups.setdefault(key, []).append(place)
    found: list[tuple[str, int, list[Pixel]]] = []
    for (cause, masklet), places in groups.items():
        for part in touching(places):
            near = all(near_another_label(frame, place) for place in part)
            thin = cause == "several classes" and near
            found.append(("thin structure" if thin else cause, masklet, sorted(part)))
    return found


def empty_frame(truth: np.ndarray, base: np.ndarray) -> Frame:
    """A frame that no masklet is on."""
    masks = np.zeros((0, *truth.shape), np.bool_)
    return Frame(truth, base, base, masks, np.zeros(0, np.uint8), np.full(truth.shape, -1))
