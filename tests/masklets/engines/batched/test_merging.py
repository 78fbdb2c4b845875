"""Objects whose masks have become one are followed once, and keep rows of their own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.engines.batched.chunks import first_alike
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import overlaps, pack
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.engines.visible import visible_parts
from sam2vss_lib.masklets.sam2 import Sam2Model
from tests.masklets.engines.batched.drawing.test_frame_size import visible_in_parts
from tests.masklets.engines.batched.test_tracker import encoded, scene, some_masks

SIZE = (120, 160)


@given(
    bits=st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=6),
    iou=st.sampled_from([0.51, 0.6, 0.75, 1.0]),
)
def test_first_alike(bits: list[list[bool]], iou: float) -> None:
    masks = np.array(bits).reshape(-1, 3, 4)
    expected: list[int] = []
    for index, mask in enumerate(masks):
        kept = [i for i in range(index) if expected[i] == i]
        unions = [(masks[i] | mask).sum() for i in kept]
        shared = [(masks[i] & mask).sum() for i in kept]
        alike = [
            i
            for i, both, union in zip(kept, shared, unions, strict=True)
            if union and both / union >= iou
        ]
        expected.append(alike[0] if alike else index)
    assert first_alike(pack(torch.from_numpy(masks).flatten(1)), iou).tolist() == expected


def test_overlaps_of_empty_masks_are_zero() -> None:
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[2, 0, 0] = True
    assert overlaps(pack(masks.flatten(1))).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("batch", [1, 4, 8])
def test_copies_of_an_object_are_followed_once(demo_model: Sam2Model, batch: int) -> None:
    images = scene(SIZE)[:4]
    features = encoded(demo_model, images)
    once = some_masks(SIZE, 6)[[0, 1, 5]]
    masks = once[[0, 1, 0, 2, 1, 0]]
    tracker = WindowTracker(demo_model, max_objects_per_batch=batch)
    expected = list(tracker.track(features.__getitem__, once, 4))
    merging = WindowTracker(
        demo_model, max_objects_per_batch=batch, approximations=Approximations(merge_iou=0.99)
    )
    found = list(merging.track(features.__getitem__, masks, 4))
    assert [len(part.logits) for part in found] == [6, 3, 3, 3]
    for part, other in zip(found, expected, strict=True):
        assert part.objects.tolist() == list(range(6))
        logits = part.logits[torch.from_numpy(part.rows)]
        same = (logits > 0) == (other.logits[[0, 1, 0, 2, 1, 0]] > 0)
        assert same.float().mean() > 0.9999
        np.testing.assert_allclose(
            part.object_score, other.object_score[[0, 1, 0, 2, 1, 0]], atol=2e-2
        )


def test_visible_parts_of_copies_go_to_the_first() -> None:
    logits, rows = torch.randn(3, 6, 7), np.array([2, 0, 2, 1, 0])
    expected = visible_parts(logits[torch.from_numpy(rows)])
    assert torch.equal(visible_in_parts(logits, rows, [3]), expected)


def test_objects_to_be_merged_end_together(demo_model: Sam2Model) -> None:
    tracker = WindowTracker(demo_model, approximations=Approximations(merge_iou=0.8))
    features = encoded(demo_model, scene(SIZE)[:1])
    steps = tracker.track(features.__getitem__, some_masks(SIZE, 2), np.array([1, 2]))
    with pytest.raises(ValueError, match="same frame"):
        next(steps)
