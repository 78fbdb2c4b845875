"""Boundary IoU: every reading of Eq. 5-6 from one set of counts per frame and radius.

Literally, Eq. 5 (B as the union of the eroded masks) yields the interiors of the regions. All
readings here take boundaries, as the paper's text says; `PROTOCOL.definitions` names them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.bands import inner_band, within_dilation
from sam2vss_lib.metrics.iou import class_counts, class_iou, class_mean, is_labelled, ratio
from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Sums
from sam2vss_lib.metrics.protocol import MetricSettings

READINGS = (
    "inner_image",
    "inner_dataset",
    "inner_pooled",
    "twosided_image",
    "cheng_dataset",
    "agnostic",
)

CLASS_SUMS = (
    "inner_intersection",
    "inner_ground_truth",
    "inner_prediction",
    "cheng_intersection",
    "cheng_prediction",
)
"""Additive (C,) pixel counts."""

IMAGE_SUMS = ("inner_image", "inner_pooled", "twosided_image", "agnostic")
"""Additive sums over images of a ratio in 0..1."""

IMAGE_COUNTS = ("band_images", "agnostic_images")
"""Additive numbers of images: those the first three ratios exist for, and those of the last."""

COUNTS = (*CLASS_SUMS, "confused", "shared")
"""Rows of a frame's counts."""


class BoundaryOverlap(Metric):
    """mBIoU."""

    headline: ClassVar = {"mBIoU": "inner_image"}
    definitions: ClassVar = {
        "band": "Pixels of a region within r pixels (square kernel) of another label; void is "
        "another label, and the outside of the frame is one if frame_edge_is_boundary.",
        "inner_image": "IoU of each class inside B, the bands of all ground-truth regions; mean "
        "over the image's classes in B, mean over images with a band.",
        "inner_dataset": "IoU of each class inside B over the data set; mean over classes in B.",
        "inner_pooled": "a / (2 - a) with a the accuracy inside B (Eq. 6 with all classes "
        "pooled); mean over images with a band.",
        "twosided_image": "IoU of each class between its ground-truth mask's dilation and "
        "erosion; mean over the image's classes with a band, mean over images with a band.",
        "cheng_dataset": "IoU of the ground truth's and the prediction's bands of each class over "
        "the data set; mean over classes with a ground-truth band.",
        "agnostic": "IoU of the unions of all bands of ground truth and of prediction, whatever "
        "their class; mean over images where either has one.",
    }

    def __init__(self, settings: MetricSettings) -> None:
        super().__init__(settings)
        self._sums = self.zeros(settings)

    @classmethod
    def headline_of(cls, settings: MetricSettings) -> dict[str, str]:
        """With the first radius."""
        return {name: f"{of}_r{settings.radii_px[0]}" for name, of in cls.headline.items()}

    @classmethod
    def zeros(cls, settings: MetricSettings) -> Sums:
        """`CLASS_SUMS`, `IMAGE_SUMS` and `IMAGE_COUNTS`, each followed by `_r<radius>`."""
        found: Sums = {}
        for tail in (f"_r{radius_px}" for radius_px in settings.radii_px):
            found |= {name + tail: np.zeros(settings.num_classes, np.int64) for name in CLASS_SUMS}
            found |= {name + tail: np.zeros((), np.float64) for name in IMAGE_SUMS}
            found |= {name + tail: np.zeros((), np.int64) for name in IMAGE_COUNTS}
        return found

    @classmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        """See `Metric.values`."""
        by_radius = [boundary_values(sums, radius_px) for radius_px in settings.radii_px]
        return {"mBIoU": {name: value for named in by_radius for name, value in named.items()}}

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int, sparse: bool) -> dict[str, str]:
        """See `Metric.reasons`."""
        return {"mBIoU": "no frame has a boundary between regions"}

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """(7 r, C) int64, see `boundary_counts`."""
        classes, edge = self.settings.num_classes, self.settings.frame_edge_is_boundary
        return torch.cat(
            [
                boundary_counts(prediction, ground_truth, classes, radius_px, edge)
                for radius_px in self.settings.radii_px
            ]
        )

    def add(self, counts: NDArray[np.int64]) -> None:
        """Take in a frame's (7 r, C)."""
        radii_px = self.settings.radii_px
        for radius_px, of_radius in zip(radii_px, np.split(counts, len(radii_px)), strict=True):
            for name, value in boundary_sums(of_radius).items():
                self._sums[f"{name}_r{radius_px}"] += value

    def sums(self) -> Sums:
        """The clip's sums."""
        return self._sums


def boundary_counts(
    prediction: Tensor,
    ground_truth: Tensor,
    num_classes: int,
    radius_px: int,
    frame_edge_is_boundary: bool = False,
) -> Tensor:
    """Count what all readings are made of, on one frame.

    Args:
        prediction: (H, W) uint8, classes 0..C-1 or 255 (unlabelled).
        ground_truth: (H, W) uint8, classes 0..C-1 or 255 (void).
        num_classes: C.
        radius_px: radius r of the bands.
        frame_edge_is_boundary: see `MetricSettings`.

    Returns:
        (7, C) int64 of `COUNTS`, never counting void ground truth: `confused` are false positives
        of c inside the dilation of its ground truth, `shared` is ground truth where both maps have
        a band of any class.
    """
    labelled = is_labelled(ground_truth)
    correct = prediction == ground_truth
    band = inner_band(ground_truth, radius_px, frame_edge_is_boundary) & labelled
    predicted_band = inner_band(prediction, radius_px, frame_edge_is_boundary) & labelled
    shared = band & predicted_band
    confused = within_dilation(prediction, ground_truth, radius_px) & labelled & ~correct
    counted = {
        "inner_intersection": (ground_truth, band & correct),
        "inner_ground_truth": (ground_truth, band),
        "inner_prediction": (prediction, band),
        "cheng_intersection": (ground_truth, shared & correct),
        "cheng_prediction": (prediction, predicted_band),
        "confused": (prediction, confused),
        "shared": (ground_truth, shared & is_labelled(prediction)),
    }
    return torch.stack([class_counts(*counted[name], num_classes) for name in COUNTS])


def boundary_sums(counts: NDArray[Any]) -> dict[str, Any]:
    """Turn one frame's counts into the frame's share of the additive sums.

    Args:
        counts: (7, C) int64 of `COUNTS`, from `boundary_counts`.

    Returns:
        `CLASS_SUMS` as (C,) int64, `IMAGE_SUMS` as floats, `IMAGE_COUNTS` as 0 or 1.
    """
    counted = dict(zip(COUNTS, counts, strict=True))
    sums: dict[str, Any] = {name: counted[name] for name in CLASS_SUMS}
    intersection, ground_truth = counted["inner_intersection"], counted["inner_ground_truth"]
    sums |= dict.fromkeys(IMAGE_SUMS, 0.0) | dict.fromkeys(IMAGE_COUNTS, 0)
    pixels = ground_truth.sum()
    if pixels > 0:
        present = ground_truth > 0
        accuracy = intersection.sum() / pixels
        sums["band_images"] = 1
        sums["inner_image"] = class_mean(
            class_iou(intersection, ground_truth, counted["inner_prediction"]), present
        )
        sums["inner_pooled"] = accuracy / (2 - accuracy)
        # Inside the ground truth the two-sided band of a class is its inner band, so that only
        # the false positives have to be counted anew.
        sums["twosided_image"] = class_mean(
            class_iou(intersection, ground_truth, intersection + counted["confused"]), present
        )
    both = counted["shared"].sum()
    union = pixels + counted["cheng_prediction"].sum() - both
    if union > 0:
        sums["agnostic_images"] = 1
        sums["agnostic"] = both / union
    return sums


def boundary_values(sums: AnySums, radius_px: int) -> dict[str, Floats]:
    """Every reading from summed sums.

    Args:
        sums: `CLASS_SUMS` (..., C), `IMAGE_SUMS` and `IMAGE_COUNTS` (...), each name followed by
            `_r<radius>`.
        radius_px: the radius.

    Returns:
        `<reading>_r<radius>` -> (...) float64 in 0..1, NaN where no boundary exists.
    """
    tail = f"_r{radius_px}"
    inner = [sums[name + tail] for name in CLASS_SUMS[:3]]
    cheng = [
        sums[f"cheng_intersection{tail}"],
        inner[1],
        sums[f"cheng_prediction{tail}"],
    ]
    values = {
        "inner_dataset": class_mean(class_iou(*inner), inner[1] > 0),
        "cheng_dataset": class_mean(class_iou(*cheng), inner[1] > 0),
    }
    for name in IMAGE_SUMS:
        images = "agnostic_images" if name == "agnostic" else "band_images"
        values[name] = ratio(sums[name + tail], sums[images + tail])
    return {name + tail: values[name] for name in READINGS}
