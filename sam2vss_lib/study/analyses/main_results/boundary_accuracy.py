"""How right predictions are, by the distance of a pixel to the nearest ground-truth boundary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID
from sam2vss_lib.metrics.bootstrap import paired_share_gain
from sam2vss_lib.metrics.boundary_distance import BIN_STARTS_PX, distance_bins
from sam2vss_lib.metrics.iou import class_counts
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.text import range_text
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.context import Progress
from sam2vss_lib.study.stages.evaluation import predictions_sha256


def accuracy_by_distance(study: Study, pairs: Sequence[tuple[Row, Row]]) -> pd.DataFrame:
    """Accuracy of pairs of base and refined rows that were run, in every bin of distance.

    Returns:
        Columns `base_system`, `system`, `distance_px` (lower end of the bin), `share` (of all
        pixels), `base`, `refined`, `gain`, `low`, `high` (percent and points; the interval is that
        of a paired bootstrap over clips, missing for a single clip). Bins without pixels are left
        out.
    """
    columns = ["base_system", "system", "distance_px", "share", "base", "refined", "gain"]
    columns += ["low", "high"]
    if not pairs:
        return pd.DataFrame(columns=columns)
    rows = {row.label: row for pair in pairs for row in pair}
    labelled, counts = _counts(study, [row.run.predictions for row in rows.values()])
    right = dict(zip(rows, counts, strict=True))
    settings = study.settings
    lines: list[tuple[object, ...]] = []
    for base, refined in pairs:
        before, after = right[base.label], right[refined.label]
        for place, start in enumerate(BIN_STARTS_PX):
            pixels = labelled[:, place]
            if not pixels.any():
                continue
            gain = paired_share_gain(
                before[:, place], after[:, place], pixels,
                samples=settings.bootstrap_samples, seed=settings.seed,
            )  # fmt: skip
            total = pixels.sum()
            share = float(total / labelled.sum())
            right_percent = [float(100 * n[:, place].sum() / total) for n in (before, after)]
            ends = (gain.gain, gain.low, gain.high)
            lines.append((base.label, refined.label, start, share, *right_percent, *ends))
    frame = pd.DataFrame(lines, columns=columns)
    return frame.astype(dict.fromkeys(("low", "high"), "float64"))


def _counts(
    study: Study, predictions: list[PredictionFolder]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count once for all predictions, as the distances are the same for all; kept on disk.

    Returns:
        Pixels with ground truth, (clips, bins) int64, and those of them that each of the
        predictions has right, (predictions, clips, bins) int64.
    """
    dataset = study.dataset
    digests = [f"{predictions_sha256(dataset, p)} {p.label_offset}" for p in predictions]
    key = study.key(study.data_sha256, study.settings.stray_labels, *digests)
    count = partial(_count, study, predictions)
    kept = study.kept_values("boundary accuracy", "boundary", key, count)
    shape = (len(predictions), len(dataset), len(BIN_STARTS_PX))
    right = np.array(kept["right"], np.int64).reshape(shape)
    return np.array(kept["labelled"], np.int64), right


def _count(study: Study, predictions: list[PredictionFolder], progress: Progress) -> dict[str, Any]:
    shape = (len(study.dataset), len(BIN_STARTS_PX))
    labelled = torch.zeros(shape, dtype=torch.int64)
    right = torch.zeros((len(predictions), *shape), dtype=torch.int64)
    for place, clip in enumerate(study.dataset):
        for frame in clip.annotated:
            truth = torch.from_numpy(clip.ground_truth(frame)).to(study.device)
            bins = distance_bins(truth)
            labelled[place] += class_counts(bins, bins != VOID, shape[1]).cpu()
            for counted, folder in zip(right, predictions, strict=True):
                labels = torch.from_numpy(folder.read(clip, frame)).to(study.device)
                counted[place] += class_counts(bins, labels == truth, shape[1]).cpu()
        progress(clip.name)
    return {"labelled": labelled.tolist(), "right": right.tolist()}


def boundary_reading(frame: pd.DataFrame) -> str:
    """In words: what refinement changes at boundaries, and far from them."""
    if frame.empty:
        return ""
    ends = frame["distance_px"].min(), frame["distance_px"].max()
    near, far = (range_text(frame.loc[frame["distance_px"] == px, "gain"].tolist()) for px in ends)
    return (
        f"Accuracy on boundaries changes by {near} points, and from {ends[1]} pixels on by {far} "
        f"({frame['system'].nunique()} refined rows)."
    )
