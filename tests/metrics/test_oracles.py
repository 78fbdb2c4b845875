"""Every metric in every definition against its slow, independent implementation."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from sam2vss_lib.metrics import VOID
from tests.metrics.clips import Clips, evaluate, oracle_values, random_clips

SETTINGS = {"window_lengths": (2, 3, 8), "radii_px": (2, 5)}


def check_against_oracles(clips: Clips, num_classes: int, **settings) -> None:
    """Compare all variants to 1e-9; what is None here must be NaN there."""
    result = evaluate(clips, num_classes, **settings).compute(samples=1)
    found = {**result.variants, "FWIoU": {"fwiou": result.metrics["FWIoU"]}}
    expected = oracle_values(clips, num_classes, **settings)
    assert found.keys() == expected.keys()
    for metric, named in expected.items():
        values = {k: np.nan if v is None else v for k, v in found[metric].items()}
        assert values == pytest.approx(named, abs=1e-9, rel=0, nan_ok=True), metric


@pytest.mark.parametrize("seed", range(6))
def test_random_clips(seed: int) -> None:
    check_against_oracles(random_clips(seed, (1, 3, 9)), 5, **SETTINGS)


def test_clip_as_long_as_the_window_and_one_longer() -> None:
    check_against_oracles(random_clips(7, (8,)), 5, **SETTINGS)
    check_against_oracles(random_clips(7, (9,)), 5, **SETTINGS)


def test_frame_edge_as_boundary() -> None:
    check_against_oracles(
        random_clips(8, (2, 3)), 5, window_lengths=(2,), radii_px=(2,), frame_edge_is_boundary=True
    )


def test_noise_where_every_pixel_is_boundary() -> None:
    rng = np.random.default_rng(9)
    noise = rng.choice(np.array([0, 1, 2, VOID], np.uint8), (2, 3, 7, 8))
    check_against_oracles({"noise": (list(noise[0]), list(noise[1]))}, 4, **SETTINGS)


@pytest.mark.parametrize("ground_truth", [VOID, 1])
def test_maps_without_any_boundary(ground_truth: int) -> None:
    truth = np.full((6, 7), ground_truth, np.uint8)
    prediction = truth.copy()
    prediction[:3] = 0
    check_against_oracles({"flat": ([prediction] * 9, [truth] * 9)}, 3, **SETTINGS)


def test_class_iou_and_fwiou_equal_torchmetrics() -> None:
    clips = random_clips(10, (4, 4))
    for predictions, _ in clips.values():
        for prediction in predictions:
            prediction[prediction == VOID] = 0  # torchmetrics has no unlabelled predictions
    result = evaluate(clips, 5).compute(samples=1)
    flat = [
        torch.cat(
            [torch.from_numpy(m).flatten().long() for pair in clips.values() for m in pair[i]]
        )
        for i in (0, 1)
    ]
    per_class = MulticlassJaccardIndex(5, average="none", ignore_index=VOID)(*flat)
    weighted = MulticlassJaccardIndex(5, average="weighted", ignore_index=VOID)(*flat)
    for row, iou in zip(result.per_class, per_class, strict=True):
        if row["iou"] is not None:
            assert row["iou"] == pytest.approx(100 * float(iou), abs=1e-4)
    assert result.metrics["FWIoU"] == pytest.approx(100 * float(weighted), abs=1e-4)
    assert [row["iou"] is None for row in result.per_class] == [False, False, False, False, True]
