"""Slow boundary IoU: every class mask eroded and dilated pixel by pixel, every reading by masks."""

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.uint8]
Mask = NDArray[np.bool_]
VOID = 255


def erode(mask: Mask, radius: int, outside: bool = True) -> Mask:
    """Keep a pixel iff the whole square around it is set; `outside` is the value off the frame."""
    height, width = mask.shape
    kept = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            off = y < radius or x < radius or y + radius >= height or x + radius >= width
            square = mask[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            kept[y, x] = square.all() and (outside or not off)
    return kept


def dilate(mask: Mask, radius: int) -> Mask:
    """Set a pixel iff any pixel of the square around it is set."""
    grown = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        grown[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = True
    return grown


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks; NaN if both are empty."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else np.nan


def boundary_metrics(
    predictions: list[Map], truths: list[Map], num_classes: int, radius: int, outside: bool = True
) -> dict[str, float]:
    """Every reading in percent by its name without the radius; NaN without any boundary."""
    images: dict[str, list[float]] = {
        name: [] for name in ("inner_image", "inner_pooled", "twosided_image", "agnostic")
    }
    inner_sums = np.zeros((num_classes, 3))
    cheng_sums = np.zeros((num_classes, 3))
    for prediction, truth in zip(predictions, truths, strict=True):
        labelled = truth != VOID
        masks = [truth == c for c in range(num_classes)]
        outputs = [(prediction == c) & labelled for c in range(num_classes)]
        bands = [m & ~erode(m, radius, outside) for m in masks]
        # The prediction's bands are those of its own map; void only hides part of them.
        output_bands = [
            (prediction == c) & ~erode(prediction == c, radius, outside) & labelled
            for c in range(num_classes)
        ]
        band = np.any(bands, axis=0)
        inner, twosided = [], []
        for c in range(num_classes):
            inside, output = masks[c] & band, outputs[c] & band
            inner_sums[c] += [(inside & output).sum(), inside.sum(), output.sum()]
            both = bands[c] & output_bands[c]
            cheng_sums[c] += [both.sum(), bands[c].sum(), output_bands[c].sum()]
            if bands[c].any():
                inner.append(iou(inside, output))
                gradient = dilate(masks[c], radius) & ~erode(masks[c], radius, outside)
                gradient &= labelled
                twosided.append(iou(masks[c] & gradient, outputs[c] & gradient))
        if band.any():
            accuracy = (prediction[band] == truth[band]).mean()
            images["inner_image"].append(float(np.mean(inner)))
            images["inner_pooled"].append(accuracy / (2 - accuracy))
            images["twosided_image"].append(float(np.mean(twosided)))
        agnostic = iou(band, np.any(output_bands, axis=0))
        if not np.isnan(agnostic):
            images["agnostic"].append(agnostic)
    values = {name: float(np.mean(v)) if v else np.nan for name, v in images.items()}
    values["inner_dataset"] = _pooled(inner_sums)
    values["cheng_dataset"] = _pooled(cheng_sums)
    return {name: 100 * value for name, value in values.items()}


def _pooled(sums: NDArray[np.float64]) -> float:
    """Mean class IoU from rows of intersection, ground truth and prediction."""
    ious = [both / (truth + output - both) for both, truth, output in sums if truth > 0]
    return float(np.mean(ious)) if ious else np.nan
