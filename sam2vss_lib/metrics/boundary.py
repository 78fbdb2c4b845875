"""Boundary IoU: every reading of Eq. 5-6 from one set of counts per frame and radius.

Literally, Eq. 5 (B as the union of the eroded masks) yields the interiors of the regions. All
readings here take boundaries, as the paper's text says; `PROTOCOL.definitions` names them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.bands import dilations_around, inner_band
from sam2vss_lib.metrics.iou import (
    class_iou,
    class_mean,
    is_labelled,
    joint_counts,
    pixels_in,
    ratio,
)
from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Sums
from sam2vss_lib.metrics.protocol import MetricSettings

#: additive (C,) pixel counts
CLASS_SUMS = (
    "inner_intersection",
    "inner_ground_truth",
    "inner_prediction",
    "cheng_intersection",
    "cheng_prediction",
)
#: additive sums over images of a ratio in 0..1, and the number of images that it exists for
IMAGE_SUMS = {
    "inner_image": "band_images",
    "inner_pooled": "band_images",
    "twosided_image": "band_images",
    "agnostic": "agnostic_images",
}
#: rows of a frame's counts: of void ground truth none; `confused` are false positives of c inside
#: the dilation of its ground truth, `shared` is ground truth where both maps have any band
COUNTS = (*CLASS_SUMS, "confused", "shared")
_AT_ONCE = 7  # radii: what is counted of a pixel fits in 8 bits


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
        """`CLASS_SUMS`, and `IMAGE_SUMS` with their numbers, each followed by `_r<radius>`."""
        found: Sums = {}
        for tail in (f"_r{radius_px}" for radius_px in settings.radii_px):
            found |= {name + tail: np.zeros(settings.num_classes, np.int64) for name in CLASS_SUMS}
            found |= {name + tail: np.zeros((), np.float64) for name in IMAGE_SUMS}
            found |= {name + tail: np.zeros((), np.int64) for name in IMAGE_SUMS.values()}
        return found

    @classmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        """See `Metric.values`."""
        found: dict[str, Floats] = {}
        for tail in (f"_r{radius_px}" for radius_px in settings.radii_px):
            of_images = {
                name: ratio(sums[name + tail], sums[images + tail])
                for name, images in IMAGE_SUMS.items()
            }
            of_data_set: dict[str, Floats] = {}
            for kind in ("inner", "cheng"):
                intersection, prediction = (
                    sums[f"{kind}_{what}{tail}"] for what in ("intersection", "prediction")
                )
                truth = sums[f"inner_ground_truth{tail}"]
                iou = class_iou(intersection, truth, prediction)
                of_data_set[f"{kind}_dataset"] = class_mean(iou, truth > 0)
            readings = of_images | of_data_set
            found |= {name + tail: readings[name] for name in cls.definitions if name != "band"}
        return {"mBIoU": found}

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int) -> dict[str, str]:
        """See `Metric.reasons`."""
        return {"mBIoU": "no frame has a boundary between regions"}

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """(7 r, C) int64 of `COUNTS`, radius by radius."""
        radii_px = self.settings.radii_px
        some = (radii_px[i : i + _AT_ONCE] for i in range(0, len(radii_px), _AT_ONCE))
        return torch.cat([self._counts(prediction, ground_truth, radii) for radii in some])

    def _counts(self, prediction: Tensor, ground_truth: Tensor, radii_px: Sequence[int]) -> Tensor:
        """(7 r, C) int64 of `COUNTS`: what all readings are made of.

        A larger radius has a wider band, so that for each kind of band the number of radii that
        have a pixel in it says which. All counts are sums of two tables: pixels by these numbers.
        """
        edge, classes = self.settings.frame_edge_is_boundary, self.settings.num_classes
        labelled = is_labelled(ground_truth)
        known = is_labelled(prediction)
        correct = prediction == ground_truth
        truth, predicted = (
            sum((inner_band(labels, r, edge) for r in radii_px), torch.zeros_like(labels))
            for labels in (ground_truth, prediction)
        )
        truth, predicted = truth * labelled, predicted * labelled
        near = (truth + predicted).bool()  # the other pixels count nowhere
        n = len(radii_px) + 1
        pixels = predicted + n * truth
        of_truth = joint_counts(
            pixels_in(pixels + n**2 * (correct + 2 * known.to(torch.uint8)), near),
            pixels_in(ground_truth, near),
        )[: 4 * n**2, :classes].view(2, 2, n, n, classes)
        labels = pixels_in(prediction, near)
        of_prediction = joint_counts(pixels_in(pixels, near), labels)
        of_prediction = of_prediction[: n**2, :classes].view(n, n, classes)
        # where a square holds one label alone, no other can be near
        asked = truth.bool() & ~correct & known
        labels = pixels_in(prediction, asked)
        confused = dilations_around(labels, asked, ground_truth, radii_px)
        confused = joint_counts(confused, labels)[:n, :classes]
        counts: list[Tensor] = []
        for radius_px in radii_px:
            # from so many radii on, this one has the pixel in its band
            least = sum(other >= radius_px for other in radii_px)
            counted = {
                "inner_intersection": of_truth[:, 1, least:],
                "inner_ground_truth": of_truth[:, :, least:],
                "inner_prediction": of_prediction[least:],
                "cheng_intersection": of_truth[:, 1, least:, least:],
                "cheng_prediction": of_prediction[:, least:],
                "confused": confused[least:],
                "shared": of_truth[1, :, least:, least:],
            }
            counts += [counted[name].reshape(-1, classes).sum(0) for name in COUNTS]
        return torch.stack(counts)

    def add(self, counts: NDArray[np.int64]) -> None:
        """Take in a frame's (7 r, C)."""
        radii_px = self.settings.radii_px
        for radius_px, of_radius in zip(radii_px, np.split(counts, len(radii_px)), strict=True):
            named = zip(COUNTS, of_radius, strict=True)
            for name, value in _frame_sums(dict(named)).items():
                self._sums[f"{name}_r{radius_px}"] += value

    def sums(self) -> Sums:
        """The clip's sums."""
        return self._sums


def _frame_sums(counts: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """One frame's share of the additive sums, from its `COUNTS`, (C,) each."""
    sums: dict[str, Any] = {name: counts[name] for name in CLASS_SUMS}
    intersection, ground_truth = counts["inner_intersection"], counts["inner_ground_truth"]
    pixels = ground_truth.sum()
    if pixels > 0:
        present = ground_truth > 0
        accuracy = intersection.sum() / pixels
        sums["band_images"] = 1
        sums["inner_image"] = class_mean(
            class_iou(intersection, ground_truth, counts["inner_prediction"]), present
        )
        sums["inner_pooled"] = accuracy / (2 - accuracy)
        # Inside the ground truth the two-sided band of a class is its inner band, so that only
        # the false positives have to be counted anew.
        sums["twosided_image"] = class_mean(
            class_iou(intersection, ground_truth, intersection + counts["confused"]), present
        )
    both = counts["shared"].sum()
    union = pixels + counts["cheng_prediction"].sum() - both
    if union > 0:
        sums["agnostic_images"] = 1
        sums["agnostic"] = both / union
    return sums
