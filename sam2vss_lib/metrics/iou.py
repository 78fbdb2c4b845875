"""Region overlap: pixel counts per class of one frame, and the means made of their sums."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Numbers, Sums
from sam2vss_lib.metrics.protocol import VOID, MetricSettings

#: additive (C,) pixel counts
REGION_SUMS = ("intersection", "ground_truth", "prediction")


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
        truth, prediction = sums["ground_truth"], sums["prediction"]
        iou = class_iou(sums["intersection"], truth, prediction)
        # "Weighted IoU" in Table 1, "FWIoU" in Tables 4-7
        weighted = np.where(truth > 0, truth * iou, 0.0).sum(axis=-1)
        return {
            "mIoU": {
                "vspw": class_mean(iou, truth > 0),
                "mmseg": class_mean(iou, truth + prediction > 0),
            },
            "FWIoU": {"fwiou": ratio(weighted, truth.sum(axis=-1))},
        }

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int) -> dict[str, str]:
        """See `Metric.reasons`."""
        return dict.fromkeys(cls.headline, "the ground truth is void everywhere")

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """(3, C) int64 of `REGION_SUMS`; of the prediction where the ground truth is not void.

        The table has a column of its own for the prediction 255, which is no class.
        """
        classes = self.settings.num_classes
        table = joint_counts(ground_truth, prediction)[:classes]  # without void
        counted = {
            "intersection": table.diagonal()[:classes],
            "ground_truth": table.sum(1),
            "prediction": table.sum(0)[:classes],
        }
        return torch.stack([counted[name] for name in REGION_SUMS])

    def add(self, counts: NDArray[np.int64]) -> None:
        """Take in a frame's (3, C)."""
        self._total += counts

    def sums(self) -> Sums:
        """The clip's `REGION_SUMS`."""
        return dict(zip(REGION_SUMS, self._total, strict=True))


def joint_counts(groups: Tensor, labels: Tensor) -> Tensor:
    """Count the pixels of every label in every group: (256, 256) int64, on their device.

    Both are uint8, of one shape. Counts are integer, so exact and repeatable anywhere.
    """
    pairs = (groups.to(torch.int16) << 8) | labels
    if pairs.device.type == "cpu":  # numpy counts twice as fast
        counts = torch.from_numpy(
            np.bincount(pairs.numpy().view(np.uint16).ravel(), minlength=2**16)
        )
    else:
        counts = torch.bincount(pairs.flatten().int() & 0xFFFF, minlength=2**16)
    return counts.view(256, 256)


def class_counts(labels: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of every class, (C,) int64, inside a mask, (H, W) bool.

    Labels are (H, W) uint8, classes 0..C-1 or 255, on the device of the counts, which are integers
    and so exact and repeatable anywhere.
    """
    if labels.device.type == "cpu":
        inside = pixels_in(labels, mask).numpy()
        return torch.from_numpy(np.bincount(inside, minlength=VOID + 1)[:num_classes])
    kept = torch.where(mask, labels, VOID)
    return torch.bincount(kept.flatten(), minlength=VOID + 1)[:num_classes]


def pixels_in(maps: Tensor, mask: Tensor) -> Tensor:
    """The (n,) values of maps, (H, W), inside a mask, (H, W) bool, row by row."""
    if maps.device.type == "cpu":  # numpy takes pixels out several times as fast
        return torch.from_numpy(maps.numpy()[mask.numpy()])
    return maps[mask]


def is_labelled(labels: Tensor) -> Tensor:
    """(H, W) bool: where uint8 labels are not void.

    A CPU compares two uint8 tensors about seven times as fast as one and a Python number.
    """
    return labels != torch.full_like(labels, VOID)


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
    """Mean (...) over the classes counted, (..., C) bool; NaN where none is.

    The IoU, (..., C) float64, may be NaN where it is not counted.
    """
    return ratio(np.where(counted, iou, 0.0).sum(axis=-1), counted.sum(axis=-1))
