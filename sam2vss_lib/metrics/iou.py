"""Region overlap: pixel counts per class of one frame, and the means made of their sums."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Numbers, Sums
from sam2vss_lib.metrics.protocol import VOID, MetricSettings

REGION_SUMS = ("intersection", "ground_truth", "prediction")
"""Additive (C,) pixel counts, as `iou_counts` gives them."""


class RegionOverlap(Metric):
    """mIoU and FWIoU."""

    headline: ClassVar = {"mIoU": "vspw", "FWIoU": "fwiou"}
    definitions: ClassVar = {
        "vspw": "Class IoU over all pixels of the data set, mean over classes with ground truth.",
        "mmseg": "Class IoU over all pixels of the data set, mean over classes with ground truth "
        "or prediction.",
        "fwiou": "Class IoU over all pixels of the data set, weighted by ground-truth pixels.",
    }

    def __init__(self, settings: MetricSettings) -> None:
        super().__init__(settings)
        self._total = np.zeros((len(REGION_SUMS), settings.num_classes), np.int64)

    @classmethod
    def zeros(cls, settings: MetricSettings) -> Sums:
        """(C,) int64 each."""
        return {name: np.zeros(settings.num_classes, np.int64) for name in REGION_SUMS}

    @classmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        """See `Metric.values`."""
        region = [sums[name] for name in REGION_SUMS]
        return {
            "mIoU": {"vspw": mean_iou_vspw(*region), "mmseg": mean_iou_mmseg(*region)},
            "FWIoU": {"fwiou": frequency_weighted_iou(*region)},
        }

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int, sparse: bool) -> dict[str, str]:
        """See `Metric.reasons`."""
        return dict.fromkeys(cls.headline, "the ground truth is void everywhere")

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """(3, C) int64, see `iou_counts`."""
        return iou_counts(prediction, ground_truth, self.settings.num_classes)

    def add(self, counts: NDArray[np.int64]) -> None:
        """Take in a frame's (3, C)."""
        self._total += counts

    def sums(self) -> Sums:
        """The clip's `REGION_SUMS`."""
        return dict(zip(REGION_SUMS, self._total, strict=True))


def class_counts(labels: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of every class inside a mask.

    Args:
        labels: (H, W) uint8, classes 0..C-1 or 255.
        mask: (H, W) bool, the pixels to count.
        num_classes: C.

    Returns:
        (C,) int64 on the device of `labels`; integer counts, so exact and repeatable anywhere.
    """
    if labels.device.type == "cpu":  # numpy takes pixels out several times as fast
        inside = labels.numpy()[mask.numpy()]
        return torch.from_numpy(np.bincount(inside, minlength=VOID + 1)[:num_classes])
    kept = torch.where(mask, labels, VOID)
    return torch.bincount(kept.flatten(), minlength=VOID + 1)[:num_classes]


def is_labelled(labels: Tensor) -> Tensor:
    """(H, W) bool: where uint8 labels are not void.

    A CPU compares two uint8 tensors about seven times as fast as one and a Python number.
    """
    return labels != torch.full_like(labels, VOID)


def iou_counts(prediction: Tensor, ground_truth: Tensor, num_classes: int) -> Tensor:
    """Count what class IoUs are made of, on one frame.

    No confusion matrix is needed, and none could hold the prediction 255 without a row of its own.

    Args:
        prediction: (H, W) uint8, classes 0..C-1 or 255 (unlabelled).
        ground_truth: (H, W) uint8, classes 0..C-1 or 255 (void).
        num_classes: C.

    Returns:
        (3, C) int64: pixels of the intersection, of the ground truth, and of the prediction where
        the ground truth is not void.
    """
    labelled = is_labelled(ground_truth)
    return torch.stack(
        [
            class_counts(ground_truth, ground_truth == prediction, num_classes),
            class_counts(ground_truth, labelled, num_classes),
            class_counts(prediction, labelled, num_classes),
        ]
    )


def ratio(numerator: Numbers, denominator: Numbers) -> Floats:
    """Divide in float64; NaN, not an error or a 0, where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    )
    undefined = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def class_iou(intersection: Numbers, ground_truth: Numbers, prediction: Numbers) -> Floats:
    """IoU of pixel counts, elementwise; NaN where the union is empty."""
    return ratio(intersection, ground_truth + prediction - intersection)


def class_mean(iou: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Mean over the last axis of the classes counted; NaN where none is.

    Args:
        iou: (..., C) float64; may be NaN where not counted.
        counted: (..., C) bool.

    Returns:
        (...) float64.
    """
    return ratio(np.where(counted, iou, 0.0).sum(axis=-1), counted.sum(axis=-1))


def mean_iou_vspw(intersection: Numbers, ground_truth: Numbers, prediction: Numbers) -> Floats:
    """Mean over classes present in the ground truth, as VSPW's own evaluator takes it.

    Args:
        intersection: (..., C) summed pixel counts, as are the other two.
        ground_truth: (..., C).
        prediction: (..., C).

    Returns:
        (...) float64 in 0..1; NaN without any ground truth.
    """
    return class_mean(class_iou(intersection, ground_truth, prediction), ground_truth > 0)


def mean_iou_mmseg(intersection: Numbers, ground_truth: Numbers, prediction: Numbers) -> Floats:
    """Mean over classes present in ground truth or prediction; arguments as `mean_iou_vspw`."""
    return class_mean(
        class_iou(intersection, ground_truth, prediction), ground_truth + prediction > 0
    )


def frequency_weighted_iou(
    intersection: Numbers, ground_truth: Numbers, prediction: Numbers
) -> Floats:
    """Sum of the class IoUs times the classes' shares of ground-truth pixels.

    Arguments and result as `mean_iou_vspw`. "Weighted IoU" in Table 1, "FWIoU" in Tables 4-7.
    """
    iou = class_iou(intersection, ground_truth, prediction)
    weighted = np.where(ground_truth > 0, ground_truth * iou, 0.0)
    return ratio(weighted.sum(axis=-1), ground_truth.sum(axis=-1))
