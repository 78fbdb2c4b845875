"""Every harmed pixel has one cause: made-up windows of one fragment each, and a slow reference."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.masklets.rows import encode_masks
from sam2vss_lib.masklets.runs import decode_runs
from sam2vss_lib.metrics.fragments import connected
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.study.analyses.failure_atlas.atlas import _frame, _Watched
from sam2vss_lib.study.analyses.failure_atlas.causes import (
    CAUSES,
    Fragment,
    Frame,
    WindowMasklets,
)
from tests.masklets.common import disjoint
from tests.oracles.failure_atlas import empty_frame, fragments_of, harmed_pixels, touching

VOID, SIZE = 255, (20, 24)
SKY, ROAD, CAR = 0, 1, 2


def frames_of(
    truths: list[np.ndarray],
    bases: list[np.ndarray],
    masks: np.ndarray,
    vote: str = "frame",
    overlap: Any = "area",
) -> list[Frame]:
    """A window refined by its (T, n, H, W) masks, its frames as the atlas sees them."""
    scores = np.linspace(0.5, 0.9, masks.shape[1]).astype(np.float32)
    parts = []
    for index, shown in enumerate(masks):
        by_column = {"rle": shown, "rle_visible": disjoint(shown)}
        runs = {
            column: decode_runs(encode_masks(of), *of.shape[1:]) for column, of in by_column.items()
        }
        values = {
            "area": shown.sum((1, 2)),
            "predicted_iou": scores,
            "stability": scores[::-1].copy(),
        }
        parts.append(
            SimpleNamespace(
                frame=index,
                values=values.__getitem__,
                masks=lambda column="rle", of=by_column: of[column],
                runs=lambda column="rle", of=runs: of[column],
            )
        )
    clip: Any = SimpleNamespace(ground_truth=lambda index: truths[index])
    predictions: Any = SimpleNamespace(num_classes=3, read=lambda clip, index: bases[index])
    window = _Watched(clip, predictions, parts, overlap)
    rule = VOTES.find(vote).load()
    return [_frame(window, i, refined) for i, refined in enumerate(rule(window))]


def fragments(frames: list[Frame]) -> list[list[Fragment]]:
    masklets = WindowMasklets()
    return [masklets.fragments(frame) for frame in frames]


def plain(label: int = SKY) -> np.ndarray:
    return np.full(SIZE, label, np.uint8)


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


def painted(base: np.ndarray, *boxes: tuple[np.ndarray, int]) -> np.ndarray:
    labels = base.copy()
    for mask, label in boxes:
        labels[mask] = label
    return labels


def only_fragment(frames: list[Frame]) -> Fragment:
    (one,) = [fragment for found in fragments(frames) for fragment in found]
    return one


def test_a_vote_about_what_is_void_is_void():
    """Most of the masklet lies on pixels without ground truth, which the model calls a car."""
    unknown, known = box(4, 4, 8, 8), box(4, 12, 8, 4)
    truth = painted(plain(), (unknown, VOID))
    base = painted(plain(), (unknown, CAR))
    one = only_fragment(frames_of([truth], [base], (unknown | known)[None, None]))
    assert (one.cause, one.pixels) == ("void", 32)
    assert one[3:7] == (12, 4, 4, 8)
    assert (one.right, one.painted, one.masklet) == (SKY, CAR, 0)


def test_predictions_that_are_void_are_void_too():
    car, sky, rest = box(4, 4, 4, 4), box(8, 4, 2, 4), box(10, 4, 8, 4)
    truth = painted(plain(), (car, CAR))
    base = painted(truth, (rest, VOID))
    one = only_fragment(frames_of([truth], [base], (car | sky | rest)[None, None]))
    assert (one.cause, one.pixels) == ("void", 8)


def test_a_right_masklet_below_is_a_competitor():
    """The smaller masklet votes for the road, the larger one, below it, for the sky."""
    road, spill = box(2, 2, 4, 4), box(2, 6, 4, 3)
    truth = painted(plain(), (road, ROAD))
    masks = np.stack([road | spill, box(2, 6, 12, 12)])
    one = only_fragment(frames_of([truth], [truth], masks[None]))
    assert (one.cause, one.masklet, one.pixels) == ("competing masklets", 0, 12)
    best_on_top = frames_of([truth], [truth], masks[None], overlap="predicted_iou")
    assert fragments(best_on_top) == [[]]


def test_a_masklet_that_leaves_its_object_drifts():
    car, after = box(4, 2, 8, 8), box(4, 5, 8, 12)
    truth = painted(plain(), (car, CAR))
    masks = np.stack([car, after])[:, None]
    one = only_fragment(frames_of([truth, truth], [truth, truth], masks))
    assert (one.cause, one.pixels, one.right, one.painted) == ("drift", 40, CAR, SKY)


def test_without_ground_truth_on_the_first_frame_the_next_one_counts():
    car, after = box(4, 2, 8, 8), box(4, 5, 8, 12)
    truth = painted(plain(), (car, CAR))
    masks = np.stack([car, after])[:, None]
    unknown, known = plain(VOID), [truth, truth]
    assert only_fragment(frames_of([unknown, truth], known, masks)).cause == "several classes"
    longer = np.stack([car, car, after])[:, None]
    later = frames_of([unknown, truth, truth], [truth, *known], longer)
    assert only_fragment(later).cause == "drift"


def test_most_of_the_masklet_wrong_is_a_wrong_majority():
    car = box(4, 4, 8, 8)
    truth = painted(plain(), (car, CAR))
    base = painted(truth, (box(4, 4, 8, 5), ROAD))
    one = only_fragment(frames_of([truth], [base], car[None, None]))
    assert (one.cause, one.pixels, one.painted) == ("wrong majority", 24, ROAD)


def test_a_narrow_part_is_a_thin_structure():
    pole = box(2, 12, 16, 3)
    truth = painted(plain(), (pole, CAR))
    one = only_fragment(frames_of([truth], [truth], box(4, 2, 12, 20)[None, None]))
    assert (one.cause, one.pixels) == ("thin structure", 36)


def test_a_broad_part_is_of_several_classes_down_to_its_edge():
    things = box(2, 12, 16, 9)
    truth = painted(plain(), (things, CAR))
    one = only_fragment(frames_of([truth], [truth], box(4, 0, 12, 24)[None, None]))
    assert (one.cause, one.pixels) == ("several classes", 108)


def test_what_no_masklet_paints_has_a_name_too():
    truth = plain()
    frame = empty_frame(truth, truth)._replace(refined=painted(truth, (box(0, 0, 2, 2), ROAD)))
    (one,) = WindowMasklets().fragments(frame)
    assert (one.cause, one.masklet, one.pixels) == ("no masklet", -1, 4)


def test_void_ground_truth_is_never_harmed():
    truth, base = plain(VOID), plain()
    masks = box(0, 0, *SIZE)[None, None]
    frame = frames_of([truth], [painted(base, (box(0, 0, 2, 2), CAR))], masks)[0]
    assert not frame.harmed.any()


@given(
    st.integers(0, 2**31),
    st.sampled_from(["frame", "masklet"]),
    st.sampled_from(["area", "predicted_iou", "stability", "logit"]),
    st.sampled_from([0.05, 0.3, 0.6]),
)
def test_every_harmed_pixel_has_the_one_cause_that_looking_at_it_gives(
    seed: int, vote: str, overlap: str, error: float
):
    """Smooth truths with holes of void, predictions with errors, boxes as masklets that move."""
    rng = np.random.default_rng(seed)
    truths, bases = [], []
    for _ in range(3):
        coarse = rng.choice([SKY, ROAD, CAR, VOID], (4, 4), p=[0.35, 0.3, 0.25, 0.1])
        truth = np.kron(coarse, np.ones((3, 4))).astype(np.uint8)
        wrong = rng.random(truth.shape) < error
        bases.append(np.where(wrong, rng.choice([0, 1, 2, VOID], truth.shape), truth % 253))
        truths.append(truth)
    masks = np.zeros((3, 4, *truths[0].shape), np.bool_)
    for t, n in np.ndindex(3, 4):
        top, left = rng.integers(0, 9), rng.integers(0, 12)
        masks[t, n, top : top + rng.integers(0, 8), left : left + rng.integers(0, 9)] = True
    bases = [base.astype(np.uint8) for base in bases]
    frames = frames_of(truths, bases, masks, vote, overlap)
    for now, found in enumerate(fragments(frames)):
        slow = fragments_of(frames, now)
        assert sum(one.pixels for one in found) == len(harmed_pixels(frames[now]))
        assert {one.cause for one in found} <= CAUSES.keys()
        boxes = Counter(
            (cause, masklet, len(part), *(min(p[axis] for p in part) for axis in (1, 0)))
            for cause, masklet, part in slow
        )
        assert Counter(one[:5] for one in found) == boxes


@given(st.integers(0, 2**31), st.floats(0, 1), st.integers(1, 3))
def test_parts_are_those_that_flooding_finds(seed: int, share: float, groups: int):
    rng = np.random.default_rng(seed)
    marked, group = rng.random((9, 11)) < share, rng.integers(0, groups, (9, 11))
    rows, columns = np.nonzero(marked)
    number = connected(rows, columns, group[marked])
    parts: dict[int, set[tuple[int, int]]] = {}
    for part, place in zip(number.tolist(), np.argwhere(marked).tolist(), strict=True):
        parts.setdefault(part, set()).add((place[0], place[1]))
    flooded = [
        frozenset(part)
        for one in range(groups)
        for part in touching([(y, x) for y, x in np.argwhere(marked & (group == one)).tolist()])
    ]
    assert {frozenset(part) for part in parts.values()} == set(flooded)
    assert len(parts) == len(flooded)
    assert sorted(parts) == [*range(len(parts))]


@pytest.mark.parametrize("shape", [(1, 500), (500, 1)])
def test_long_parts_are_one(shape: tuple[int, int]):
    rows, columns = np.nonzero(np.ones(shape, bool))
    shuffled = np.random.default_rng(0).permutation(len(rows))
    number = connected(rows[shuffled], columns[shuffled], np.zeros(len(rows), int))
    assert set(number.tolist()) == {0}
