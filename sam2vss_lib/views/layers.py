"""Layers over a frame: (H, W, 4) uint8 of colour and opacity, or (H, W, 3) where all is opaque."""

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.metrics.bands import inner_band
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.refinement.settings import Overlap
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
_MUCH_NATS, _FAINTEST = 4.0, 0.15  # evidence that is fully opaque, and how opaque the least is


def colour_labels(labels: Labels, num_classes: int) -> Picture:
    """(H, W) uint8 labels in fixed class colours, (H, W, 3) uint8, void black."""
    return label_colours(num_classes)[labels]


def masklet_ids(
    part: FrameMasklets, overlap: Overlap, classes: Labels | None = None
) -> NDArray[np.int32]:
    """Number of the masklet that paints each pixel of a frame, (H, W); `NO_MASKLET` for none.

    Arguments are those of `painters`.
    """
    top = painters(part, overlap, classes)
    return np.where(top < 0, np.int32(NO_MASKLET), part.values("masklet")[top])


def masklet_layer(ids_map: NDArray[np.int32]) -> Picture:
    """Masklets by number, (H, W) int32 as of `masklet_ids`, in fixed colours with outlines."""
    first = int(ids_map.min(where=ids_map != NO_MASKLET, initial=int(ids_map.max())))
    table = np.zeros((int(ids_map.max()) - first + 2, 4), np.uint8)  # the last for no masklet
    table[:-1, :3] = masklet_colours(np.arange(first, first + len(table) - 1))
    table[:-1, 3] = _FILL
    layer = table[np.where(ids_map == NO_MASKLET, len(table) - 1, ids_map - first)]
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
    changed = before != after
    if truth is None:
        kinds, colours = changed.view(np.uint8), [_opaque(ORANGE)]
    else:
        changed &= truth != VOID
        right_before, right_after = (labels == truth for labels in (before, after))
        kinds = changed * (1 + right_after.view(np.uint8) + 2 * right_before.view(np.uint8))
        colours = [_opaque(colour) for colour in (NEUTRAL, BETTER, WORSE)]
    return np.stack([np.zeros(4, np.uint8), *colours])[kinds]


def decision_layer(base: Labels, voted: Labels, refined: Labels) -> Picture:
    """Who decided where the base model and the masklet on top differ, (H, W) uint8 each.

    `voted` is void where no masklet votes. Where the base model kept its label the layer is orange,
    where the masklet had its way purple.
    """
    differ = (voted != VOID) & (base != VOID) & (voted != base)
    kinds = differ * (1 + (refined == voted).view(np.uint8))
    return np.stack([np.zeros(4, np.uint8), _opaque(ORANGE), _opaque(PURPLE)])[kinds]


def evidence_layer(
    size: tuple[int, ...], places: NDArray[np.intp], excess: NDArray[np.floating]
) -> Picture:
    """What is known of k disputed pixels of a frame of this size, at their places in it.

    Evidence above the margin, in nats, speaks for the base model and is orange, that below for the
    vote and is purple: the denser the more there is.
    """
    layer = np.zeros((size[0] * size[1], 4), np.uint8)
    layer[places, :3] = np.stack([rgb(PURPLE), rgb(ORANGE)])[(excess > 0).view(np.uint8)]
    layer[places, 3] = np.round(255 * np.clip(np.abs(excess) / _MUCH_NATS, _FAINTEST, 1))
    return layer.reshape(*size, 4)


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
