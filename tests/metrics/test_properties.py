"""What must hold for every clip, whatever its labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sam2vss_lib.metrics import VOID, MetricsResult
from tests.metrics.clips import Clips, evaluate, random_clips

CLASSES = 4
SMALL = {"window_lengths": (2, 3), "radii_px": (1, 2)}
LABELS = st.sampled_from([*range(CLASSES), VOID])

examples = settings(max_examples=40, deadline=None)


@st.composite
def clip_pairs(draw) -> NDArray[np.uint8]:
    """(2, T, H, W): predictions and ground truths of one clip."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 7)))
    return draw(arrays(np.uint8, (2, *shape), elements=LABELS))


def values_of(predictions: NDArray[np.uint8], truths: NDArray[np.uint8]) -> MetricsResult:
    return evaluate({"clip": (list(predictions), list(truths))}, CLASSES, **SMALL).compute(
        samples=1
    )


def all_values(result: MetricsResult) -> dict[str, float | None]:
    named = {f"{m}.{k}": v for m, variants in result.variants.items() for k, v in variants.items()}
    return result.metrics | named


def void_free(result: MetricsResult) -> dict[str, float | None]:
    """The values that predictions on void pixels cannot touch.

    The code's VC takes void for a label, and bands of the prediction near void depend on it.
    """
    touched = ("mVC2", "mVC3", "vc_code", "cheng_dataset", "agnostic")
    return {
        name: value
        for name, value in all_values(result).items()
        if not name.split(".")[-1].startswith(touched)
    }


@examples
@given(clip_pairs())
def test_perfect_prediction_is_100_wherever_defined(pair) -> None:
    result = values_of(pair[1], pair[1])
    assert {value for value in all_values(result).values() if value is not None} <= {100.0}
    if (pair[1] != VOID).any():
        assert result.metrics["mIoU"] == result.metrics["FWIoU"] == 100.0


@examples
@given(clip_pairs())
def test_values_are_percentages_and_missing_ones_are_explained(pair) -> None:
    result = values_of(*pair)
    for name, value in all_values(result).items():
        assert name in result.notes if value is None else 0.0 <= value <= 100.0
    undefined = {name for name, value in all_values(result).items() if value is None}
    assert undefined == {name for name in result.notes if not name.startswith("confidence_95")}


@examples
@given(clip_pairs(), st.permutations(range(CLASSES)))
def test_relabelling_classes_changes_nothing(pair, permutation) -> None:
    table = np.full(256, VOID, np.uint8)
    table[:CLASSES] = permutation
    relabelled = all_values(values_of(*table[pair]))
    assert relabelled == pytest.approx(all_values(values_of(*pair)), abs=1e-9)


@examples
@given(clip_pairs(), st.integers(0, 2**32 - 1))
def test_predictions_on_void_never_count(pair, seed) -> None:
    predictions, truths = pair
    other = np.random.default_rng(seed).integers(0, CLASSES, truths.shape, dtype=np.uint8)
    changed = np.where(truths == VOID, other, predictions)
    before, after = values_of(predictions, truths), values_of(changed, truths)
    assert void_free(before) == void_free(after)
    assert before.per_class == after.per_class


@examples
@given(clip_pairs())
def test_voiding_errors_leaves_a_perfect_result(pair) -> None:
    predictions, truths = pair
    forgiven = np.where(predictions == truths, truths, VOID)
    values = void_free(values_of(predictions, forgiven))
    assert {value for value in values.values() if value is not None} <= {100.0}


@examples
@given(clip_pairs())
def test_unlabelled_prediction_costs_the_true_class_only(pair) -> None:
    predictions, truths = pair
    unlabelled = np.full_like(predictions, VOID)
    result = values_of(unlabelled, truths)
    present = set(np.unique(truths)) - {VOID}
    assert [row["iou"] for row in result.per_class] == [
        0.0 if c in present else None for c in range(CLASSES)
    ]


CLIPS: Clips = random_clips(3, (2, 4, 5, 3))
WHOLE = evaluate(CLIPS, 5, **SMALL).compute(samples=50).to_dict()


@settings(max_examples=15, deadline=None)
@given(st.permutations(sorted(CLIPS)), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_sharding_and_order_change_nothing(order, shard_of) -> None:
    shards = [
        evaluate({c: CLIPS[c] for c, s in zip(order, shard_of, strict=True) if s == i}, 5, **SMALL)
        for i in range(3)
    ]
    merged = shards[shard_of[0]]
    for shard in shards:
        if shard is not merged:
            merged.merge(shard)
    assert merged.compute(samples=50).to_dict() == WHOLE
