"""Video consistency on clips whose values follow by hand."""

import pytest
import torch

from sam2vss_lib.metrics import VOID, MetricSuite


def variants(truths: list[list[int]], predictions: list[list[int]], n: int) -> dict:
    suite = MetricSuite(num_classes=4, window_lengths=(n,))
    for truth, prediction in zip(truths, predictions, strict=True):
        suite.update(
            "clip",
            prediction=torch.tensor([prediction], dtype=torch.uint8),
            ground_truth=torch.tensor([truth], dtype=torch.uint8),
        )
    return suite.compute(samples=1).variants[f"mVC{n}"]


def test_constant_wrong_label_is_consistent_for_the_code_only() -> None:
    assert variants([[1, 1]] * 5, [[2, 2]] * 5, 3) == {"vc_code": 100.0, "vc_eq4": 0.0}


def test_last_window_counts_in_eq4_only() -> None:
    steady, flicker = [1, 1], [1, 3]
    values = variants([steady] * 4, [steady, steady, steady, flicker], 3)
    assert values == {"vc_code": 100.0, "vc_eq4": pytest.approx(75.0)}


def test_clip_as_long_as_the_window_has_no_window_in_the_code() -> None:
    assert variants([[0]] * 8, [[0]] * 8, 8) == {"vc_code": None, "vc_eq4": 100.0}


def test_void_is_a_label_for_the_code_and_nothing_for_eq4() -> None:
    truth, prediction = [VOID, 0], [2, 0]
    flickering = [[2, 0], [3, 0], [2, 0], [3, 0]]
    assert variants([truth] * 4, flickering, 2) == {"vc_code": 50.0, "vc_eq4": 100.0}
    all_void = variants([[VOID, VOID]] * 4, [prediction] * 4, 2)
    assert all_void == {"vc_code": 100.0, "vc_eq4": None}


def test_windows_without_constant_pixels_are_dropped() -> None:
    values = variants([[0], [1], [1], [1]], [[3], [1], [1], [1]], 2)
    assert values == {"vc_code": 100.0, "vc_eq4": 100.0}


def test_code_pools_windows_and_eq4_averages_clips() -> None:
    suite = MetricSuite(num_classes=2, window_lengths=(2,))
    zero, one = torch.zeros(1, 1, dtype=torch.uint8), torch.ones(1, 1, dtype=torch.uint8)
    for _ in range(3):
        suite.update("short", zero, zero)
    for i in range(6):
        suite.update("long", (zero, one)[i % 2], zero)
    values = suite.compute(samples=1).variants["mVC2"]
    assert values == {"vc_code": pytest.approx(100 * 1 / 5), "vc_eq4": pytest.approx(50.0)}


def test_frames_may_be_overwritten_after_they_were_given() -> None:
    suite = MetricSuite(num_classes=3, window_lengths=(2,))
    frame = torch.zeros(1, 1, dtype=torch.uint8)
    for label in (0, 1, 2):
        suite.update("clip", frame.fill_(label), torch.zeros(1, 1, dtype=torch.uint8))
    assert suite.compute(samples=1).metrics["mVC2"] == 0.0
