"""Layers over a frame: (H, W, 4) uint8 of colour and opacity, or (H, W, 3) where all is opaque."""

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.metrics.bands import inner_band
from sam2vss_lib.views.palette import (
    BETTER,
    NEUTRAL,
    ORANGE,
    PURPLE,
    WORSE,
    YELLOW,
    label_colours,
    masklet_colours,
    rgb,
)

Picture = NDArray[np.uint8]
NO_MASKLET = -1
_FILL = 130  # opacity of a masklet inside its outline, of 255


def colour_labels(labels: Labels, num_classes: int) -> Picture:
    """(H, W) uint8 labels in fixed class colours, (H, W, 3) uint8, void black."""
    return label_colours(num_classes)[labels]


def masklet_ids(
    masks: NDArray[np.bool_], ids: NDArray[np.integer], priority: NDArray[np.number]
) -> NDArray[np.int32]:
    """The masklet on top of each pixel, (H, W) int32, `NO_MASKLET` where there is none.

    Masks are (n, H, W) bool; as in painting the one of highest priority, (n,) numbers, is on top,
    and of equal priority the later one.
    """
    top = np.full(masks.shape[1:], NO_MASKLET, np.int32)
    for index in np.argsort(priority, kind="stable"):
        np.copyto(top, np.int32(ids[index]), where=masks[index])
    return top


def masklet_layer(ids_map: NDArray[np.int32]) -> Picture:
    """Masklets by number, (H, W) int32 as of `masklet_ids`, in fixed colours with outlines."""
    present, places = np.unique(ids_map, return_inverse=True)
    colours = np.zeros((len(present), 4), np.uint8)
    colours[:, :3], colours[:, 3] = masklet_colours(present), _FILL
    colours[present == NO_MASKLET] = 0
    layer = colours[places.reshape(ids_map.shape)]
    outline = np.zeros(ids_map.shape, np.bool_)  # one pixel on either side of an edge
    for axis in (0, 1):
        ahead, behind = (
            (slice(None),) * axis + (part,) for part in (slice(1, None), slice(None, -1))
        )
        edge = ids_map[ahead] != ids_map[behind]
        outline[ahead] |= edge
        outline[behind] |= edge
    layer[outline & (ids_map != NO_MASKLET), 3] = 255
    return layer


def change_layer(before: Labels, after: Labels, truth: Labels | None) -> Picture:
    """The pixels whose labels, (H, W) uint8, were changed.

    With ground truth they are now right, now wrong, or wrong before and after, and those that it
    leaves void are left out; without it all are of one colour.
    """
    layer = np.zeros((*before.shape, 4), np.uint8)
    changed = before != after
    if truth is None:
        layer[changed] = _opaque(ORANGE)
        return layer
    changed &= truth != VOID
    right_before, right_after = before == truth, after == truth
    layer[changed & ~right_before & ~right_after] = _opaque(NEUTRAL)
    layer[changed & right_after] = _opaque(BETTER)
    layer[changed & right_before] = _opaque(WORSE)
    return layer


def boundary_layer(labels: Labels, radius_px: int) -> Picture:
    """The band in which mBIoU compares (H, W) uint8 labels, as wide as its radius."""
    layer = np.zeros((*labels.shape, 4), np.uint8)
    layer[inner_band(torch.from_numpy(labels), radius_px).numpy()] = _opaque(YELLOW)
    return layer


def confidence_layer(confidence: NDArray[np.floating]) -> Picture:
    """A veil that is the denser the lower the confidence, (H, W) in 0..1, is."""
    layer = np.empty((*confidence.shape, 4), np.uint8)
    layer[..., :3] = rgb(PURPLE)
    layer[..., 3] = np.round(255 * (1 - np.clip(confidence, 0, 1)))
    return layer


def blend(frame: Picture, *layers: tuple[Picture, float]) -> Picture:
    """A frame, (H, W, 3) uint8, under layers with their opacities in 0..1, the last on top."""
    shown = frame.astype(np.float32)
    for layer, opacity in layers:
        if layer.shape[-1] == 4:
            share = layer[..., 3:] * np.float32(opacity / 255)
        else:
            share = np.float32(opacity)
        shown += (layer[..., :3] - shown) * share
    return np.round(shown).astype(np.uint8)


def _opaque(colour: str) -> NDArray[np.uint8]:
    return np.append(rgb(colour), np.uint8(255))
