"""Layers show what they say, by value: colours, who is on top, and how they are blended."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from sam2vss_lib.datasets.labels import class_palette
from sam2vss_lib.masklets.rows import encode_masks
from sam2vss_lib.masklets.runs import decode_runs
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.metrics.bands import inner_band
from sam2vss_lib.refinement.painting import paint
from sam2vss_lib.views import layers, palette

OPAQUE = 255


def test_class_colours_are_fixed_and_void_is_black():
    shown = layers.colour_labels(np.array([[0, 2, 255]], np.uint8), 3)
    assert (shown[0, :2] == class_palette(3)[[0, 2]]).all()
    assert (shown[0, 2] == 0).all()


def test_the_masklet_on_top_is_the_one_that_painting_has_there():
    rng = np.random.default_rng(0)
    masks = rng.random((7, 9, 11)) < 0.4
    priority = np.array([3, 1, 2, 2, 0, 3, 1], np.int32)  # equal ones too
    columns = {"rle": encode_masks(masks), "height": [9] * 7, "width": [11] * 7}
    columns |= {"area": -priority, "masklet": np.arange(10, 17, dtype=np.int32)}
    top = layers.masklet_ids(FrameMasklets(pa.table(columns)), "area")
    nothing, classes = np.full((9, 11), 255, np.uint8), np.arange(10, 17, dtype=np.uint8)
    runs = decode_runs(encode_masks(masks), 9, 11)
    expected = paint(nothing, runs, classes, priority).astype(np.int32)
    expected[expected == 255] = layers.NO_MASKLET
    assert (top == expected).all()


def test_masklets_have_fixed_colours_and_opaque_outlines():
    ids = np.full((6, 6), layers.NO_MASKLET, np.int32)
    ids[1:, 1:] = 300
    layer = layers.masklet_layer(ids)
    assert (layer[0] == 0).all()
    assert (layer[3, 3, :3] == palette.masklet_colours(np.array([300]))[0]).all()
    assert layer[3, 3, 3] < OPAQUE
    assert layer[1, 1:, 3].tolist() == [OPAQUE] * 5
    alone = layers.masklet_layer(np.full((2, 2), 300, np.int32))
    assert (alone[..., :3] == layer[3, 3, :3]).all()


def test_colours_of_following_masklets_differ_widely():
    colours = palette.masklet_colours(np.arange(60)).astype(int)
    assert np.abs(np.diff(colours, axis=0)).sum(1).min() > 100


def test_changes_are_told_apart_by_ground_truth_and_void_is_left_out():
    truth = np.array([[0, 0, 0, 0, 255]], np.uint8)
    before = np.array([[1, 0, 1, 0, 0]], np.uint8)
    after = np.array([[0, 1, 2, 0, 1]], np.uint8)
    layer = layers.change_layer(before, after, truth)
    shown = [palette.rgb(c).tolist() for c in (palette.BETTER, palette.WORSE, palette.NEUTRAL)]
    assert layer[0, :3, :3].tolist() == shown
    assert layer[0, :, 3].tolist() == [OPAQUE] * 3 + [0, 0]
    unknown = layers.change_layer(before, after, None)
    assert unknown[0, :, 3].tolist() == [OPAQUE] * 3 + [0, OPAQUE]


def test_the_boundary_band_is_that_of_the_metric():
    labels = np.zeros((12, 12), np.uint8)
    labels[4:, 5:] = 3
    layer = layers.boundary_layer(labels, 2)
    assert ((layer[..., 3] == OPAQUE) == inner_band(torch.from_numpy(labels), 2).numpy()).all()


def test_low_confidence_is_veiled():
    layer = layers.confidence_layer(np.array([[0.0, 0.5, 1.0]]))
    assert layer[0, :, 3].tolist() == [255, 128, 0]


@pytest.mark.parametrize(("opacity", "expected"), [(0.0, 100), (0.5, 150), (1.0, 200)])
def test_layers_are_blended_by_their_opacity(opacity: float, expected: int):
    frame = np.full((1, 2, 3), 100, np.uint8)
    opaque = np.full((1, 2, 3), 200, np.uint8)
    half = np.full((1, 2, 4), 200, np.uint8)
    half[0, 1, 3] = 0
    half[0, 0, 3] = 255
    assert (layers.blend(frame, (opaque, opacity)) == expected).all()
    assert layers.blend(frame, (half, opacity))[0, :, 0].tolist() == [expected, 100]
    assert (layers.blend(frame, (opaque, 1.0), (half, 0.0)) == 200).all()


def test_decisions_are_marked_where_base_and_vote_differ() -> None:
    base = np.array([[0, 0, 0, 255, 0]], np.uint8)
    voted = np.array([[0, 1, 1, 1, 255]], np.uint8)
    refined = np.array([[0, 0, 1, 1, 0]], np.uint8)
    layer = layers.decision_layer(base, voted, refined)
    assert layer[0, :, 3].tolist() == [0, 255, 255, 0, 0]
    kept, overruled = layer[0, 1, :3], layer[0, 2, :3]
    assert (kept.tolist(), overruled.tolist()) == tuple(
        palette.rgb(colour).tolist() for colour in (palette.ORANGE, palette.PURPLE)
    )
