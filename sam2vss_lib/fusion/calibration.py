"""How sure a base model should be: the temperature that its probabilities lack, and reliability."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.fusion.probabilities import middles
from sam2vss_lib.predictions.folder import PredictionFolder

_TEMPERATURES = np.geomspace(0.3, 5.0, 57)
_PLACES_EACH = 2000  # of a frame's probability map that are looked at
_LEAST = 1e-4
BINS = 10


def measure_temperature(dataset: Dataset, predictions: PredictionFolder, frame_step: int) -> float:
    """The temperature at which labels are most likely under a base model's probabilities.

    Ground truth of every n-th annotated frame is read; a place of the probability map is compared
    with the label under its middle.

    Raises:
        DataError: a frame has no probabilities, or no frame has a label.
    """
    loss, seen = np.zeros(len(_TEMPERATURES)), 0
    for clip in dataset:
        for index in clip.annotated[::frame_step]:
            probabilities = predictions.read_probabilities(clip, index)
            if probabilities is None:
                path = predictions.probabilities_path(clip, index)
                raise DataError(f"{path}: no probabilities; run sam2vss segment --probabilities")
            rows, columns = middles(probabilities.shape[1:], clip.size)
            step = 1 + int((probabilities[0].size / _PLACES_EACH) ** 0.5)
            every = slice(step // 2, None, step)
            some = probabilities[:, every, every].astype(np.float64)
            truth = clip.ground_truth(index)[rows[every], columns[every]]
            labelled = truth < len(probabilities)
            logs, labels = np.log(some[:, labelled] + _LEAST), truth[labelled]
            loss += [_loss(logs / temperature, labels) for temperature in _TEMPERATURES]
            seen += len(labels)
    if not seen:
        raise DataError(f"{dataset.root}: no labelled pixel in split {dataset.split}")
    return round(float(_TEMPERATURES[loss.argmin()]), 3)


def _loss(logits: NDArray[np.float64], labels: NDArray[np.uint8]) -> float:
    """Sum over the pixels of minus log softmax at the label; logits are (C, k), labels (k,)."""
    peak = logits.max(0)
    spread = np.log(np.exp(logits - peak).sum(0)) + peak
    return float((spread - logits[labels, np.arange(len(labels))]).sum())


def reliability(
    chances: Iterable[NDArray[np.floating]], right: Iterable[NDArray[np.bool_]]
) -> list[dict[str, float]]:
    """What chances said beside how often it came so, in ten bins of equal width.

    Returns:
        Of every bin that is not empty `said` and `seen`, means in 0..1, and `pixels`.
    """
    said, seen = np.concatenate([*chances]), np.concatenate([*right])
    place = np.minimum((said * BINS).astype(np.intp), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    sums = (np.bincount(place, values, BINS) for values in (said, seen))
    means = [total / np.maximum(count, 1) for total in sums]
    return [
        {"said": round(float(s), 4), "seen": round(float(r), 4), "pixels": int(n)}
        for s, r, n in zip(*means, count, strict=True)
        if n
    ]
