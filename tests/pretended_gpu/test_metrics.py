"""Metrics count on a GPU what they count on a CPU."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2vss_lib.errors import DataError
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.metrics.boundary_distance import distance_bins, squared_distance
from sam2vss_lib.metrics.iou import class_counts
from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.stops import Stops
from tests.pretended_gpu.tensors import on_gpu, on_host

#: answers that a scored frame waits for, with three radii: whether labels are in range, of both
#: maps (2), counts of pairs of labels (4), pixels of masks, whose number the device alone knows
#: (11), which labels there are (1), windows (1) and all counts (1)
READS_A_FRAME = 20
CLASSES = 20


def maps(seed: int, frames: int = 4) -> list[Tensor]:
    """Blobs of up to 20 labels and void, (30, 40) uint8, that change little by little."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, CLASSES, (6, 8))
    found = []
    for _ in range(frames):
        coarse[rng.random(coarse.shape) < 0.1] = rng.integers(0, CLASSES)
        fine = np.kron(coarse, np.ones((5, 5))).astype(np.uint8)
        fine[rng.random(fine.shape) < 0.05] = 255
        found.append(torch.from_numpy(fine))
    return found


def suite_of(predictions: list[Tensor], truths: list[Tensor]) -> MetricSuite:
    suite = MetricSuite(CLASSES, window_lengths=(2, 3), radii_px=(1, 2, 4))
    for index, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        suite.update("clip", prediction, truth)
        if index == 1:
            suite.skip("clip")
    suite.finish()
    return suite


def test_all_metrics_are_those_of_the_cpu() -> None:
    predictions, truths = maps(1), maps(0)
    expected = suite_of(predictions, truths).sums.clips["clip"]
    with pretended_gpu() as stops:
        found = suite_of([on_gpu(x) for x in predictions], [on_gpu(x) for x in truths])
        found = found.sums.clips["clip"]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert len(stops.of("read")) <= READS_A_FRAME * len(truths), str(stops)


def test_labels_out_of_range_and_mixed_devices_are_said(gpu: Stops) -> None:
    truth = on_gpu(maps(0)[0])
    with pytest.raises(DataError, match="has label 20, not"):
        suite_of([torch.full_like(truth, 20)], [truth])
    with pytest.raises(DataError, match="different devices"):
        suite_of([maps(1)[0]], [truth])


@pytest.mark.parametrize("seed", range(2))
def test_distances_to_boundaries_are_those_of_the_cpu(seed: int) -> None:
    truth = maps(seed)[0]
    expected = distance_bins(truth), class_counts(truth, truth != 3, CLASSES)
    squares = squared_distance(truth == 3, 9)
    with pretended_gpu():
        there = on_gpu(truth)
        found = distance_bins(there), class_counts(there, there != 3, CLASSES)
        assert torch.equal(on_host(squared_distance(there == 3, 9)), squares)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(on_host(one), other)
