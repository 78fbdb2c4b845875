"""Boundary IoU: every reading of Eq. 5-6 from one set of counts per frame and radius.

Literally, Eq. 5 (B as the union of the eroded masks) yields the interiors of the regions. All
readings here take boundaries, as the paper's text says; `PROTOCOL.definitions` names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.bands import inner_band, within_dilation
from sam2vss_lib.metrics.iou import Floats, class_counts, class_iou, class_mean, is_labelled, ratio

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
        (7, C) int64, never counting void ground truth. Rows 0-4 are `CLASS_SUMS`: intersection,
        ground truth and prediction inside B, intersection of the bands of ground truth and
        prediction, band of the prediction. Row 5: false positives of c inside the dilation of
        its ground truth. Row 6: ground truth where both maps have a band of any class.
    """
    labelled = is_labelled(ground_truth)
    correct = prediction == ground_truth
    band = inner_band(ground_truth, radius_px, frame_edge_is_boundary) & labelled
    predicted_band = inner_band(prediction, radius_px, frame_edge_is_boundary) & labelled
    shared = band & predicted_band
    confused = within_dilation(prediction, ground_truth, radius_px) & labelled & ~correct
    return torch.stack(
        [
            class_counts(ground_truth, band & correct, num_classes),
            class_counts(ground_truth, band, num_classes),
            class_counts(prediction, band, num_classes),
            class_counts(ground_truth, shared & correct, num_classes),
            class_counts(prediction, predicted_band, num_classes),
            class_counts(prediction, confused, num_classes),
            class_counts(ground_truth, shared & is_labelled(prediction), num_classes),
        ]
    )


def boundary_sums(counts: NDArray[Any]) -> dict[str, Any]:
    """Turn one frame's counts into the frame's share of the additive sums.

    Args:
        counts: (7, C) int64 from `boundary_counts`.

    Returns:
        `CLASS_SUMS` as (C,) int64, `IMAGE_SUMS` as floats, `IMAGE_COUNTS` as 0 or 1.
    """
    intersection, ground_truth, prediction, _, cheng_prediction, confused, both = counts
    sums: dict[str, Any] = dict(zip(CLASS_SUMS, counts[:5], strict=True))
    sums |= dict.fromkeys(IMAGE_SUMS, 0.0) | dict.fromkeys(IMAGE_COUNTS, 0)
    pixels = ground_truth.sum()
    if pixels > 0:
        present = ground_truth > 0
        accuracy = intersection.sum() / pixels
        sums["band_images"] = 1
        sums["inner_image"] = class_mean(class_iou(intersection, ground_truth, prediction), present)
        sums["inner_pooled"] = accuracy / (2 - accuracy)
        # Inside the ground truth the two-sided band of a class is its inner band, so that only
        # the false positives have to be counted anew.
        sums["twosided_image"] = class_mean(
            class_iou(intersection, ground_truth, intersection + confused), present
        )
    union = pixels + cheng_prediction.sum() - both.sum()
    if union > 0:
        sums["agnostic_images"] = 1
        sums["agnostic"] = both.sum() / union
    return sums


def boundary_values(sums: Mapping[str, NDArray[Any]], radius_px: int) -> dict[str, Floats]:
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
