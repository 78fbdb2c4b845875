"""Slow mIoU and FWIoU from explicit masks, one class and one frame at a time."""

import numpy as np
from numpy.typing import NDArray

Maps = list[NDArray[np.uint8]]
VOID = 255


def region_metrics(predictions: Maps, truths: Maps, num_classes: int) -> dict[str, float]:
    """The values `vspw`, `mmseg` and `fwiou` in percent; NaN where no class counts."""
    in_truth, in_either, weighted, labelled = [], [], 0.0, 0
    for c in range(num_classes):
        both = either = support = 0
        for prediction, truth in zip(predictions, truths, strict=True):
            for p, t in zip(prediction.flat, truth.flat, strict=True):
                if t == VOID:
                    continue
                both += p == c and t == c
                either += p == c or t == c
                support += t == c
        if either:
            in_either.append(both / either)
        if support:
            in_truth.append(both / either)
            weighted += support * both / either
            labelled += support
    return {
        "vspw": 100 * float(np.mean(in_truth)) if in_truth else np.nan,
        "mmseg": 100 * float(np.mean(in_either)) if in_either else np.nan,
        "fwiou": 100 * weighted / labelled if labelled else np.nan,
    }
