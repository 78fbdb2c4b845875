"""From a folder of predictions to `metrics.json`, with the per-clip sums kept beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.storage.records import sha256_files
from sam2vss_lib.study.stages.provenance import Provenance

FORMAT_VERSION = 1


def sums_path(metrics_json: Path) -> Path:
    """The per-clip sums that belong to a metrics file; paired intervals are made from them."""
    return metrics_json.with_suffix(".npz")


def predictions_sha256(dataset: Dataset, predictions: PredictionFolder) -> str:
    """One SHA-256 over the label files of all frames, in order.

    Raises:
        DataError: a file is missing or not readable.
    """
    return sha256_files(
        predictions.path(clip, frame) for clip in dataset for frame in range(clip.num_frames)
    )


def count_predictions(
    dataset: Dataset,
    predictions: PredictionFolder,
    *,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda clip: None,
) -> MetricSuite:
    """Compare predictions with ground truth, one pass over the frames.

    Raises:
        DataError: ground truth or predictions are missing or cannot be used.
    """
    suite = MetricSuite(dataset.num_classes)
    for clip in dataset.clips:
        if missing := predictions.missing(clip):
            path = predictions.path(clip, missing[0])
            raise DataError(f"{path}: no such prediction ({len(missing)} missing in this clip)")
        for frame in range(clip.num_frames):
            suite.update(
                clip.name,
                torch.from_numpy(predictions.read(clip, frame)).to(device),
                torch.from_numpy(clip.ground_truth(frame)).to(device),
            )
        suite.finish()
        progress(clip.name)
    return suite


def write_metrics(
    path: Path, suite: MetricSuite, provenance: Provenance, *, samples: int = 2000
) -> dict[str, Any]:
    """Write `metrics.json`, which is returned, and first the sums beside it.

    The seed of the provenance draws the intervals.
    """
    result = suite.compute(samples=samples, seed=provenance.seed)
    written = {
        "format_version": FORMAT_VERSION,
        **result.to_dict(),
        "provenance": provenance.model_dump(mode="json"),
    }
    suite.save(sums_path(path))
    write_json(path, written)
    return written
