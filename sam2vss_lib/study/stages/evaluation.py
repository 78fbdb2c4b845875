"""From a folder of predictions to `metrics.json`, with the per-clip sums kept beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam2vss_lib.datasets import VOID, Dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.storage.records import check_report, sha256_files
from sam2vss_lib.storage.targets import beside, check_file
from sam2vss_lib.study.stages.provenance import Provenance, collect_provenance

FORMAT_VERSION = 1
_LOOKED_AT = 32  # frames, spread evenly, that tell whether labels are shifted
_FAR_BETTER = 0.25  # more of the labelled pixels that agree when they are shifted
_KEPT_BYTES = 16 * 2**20


def sums_path(metrics_json: Path) -> Path:
    """The per-clip sums that belong to a metrics file; paired intervals are made from them."""
    return beside(metrics_json, ".npz")


def check_metrics_path(path: Path) -> None:
    """Refuse at once a place for metrics where they or their sums would replace what is not theirs.

    Raises:
        SettingsError: no file can be written there, or the sums' name is taken by something else.
    """
    sums = sums_path(path)
    check_report(path, "metrics", "protocol")
    check_file(sums)
    of_json = path.with_name(path.name.removesuffix(".json") or path.name)
    twin = path.with_name(f"{path.name}.json") if of_json == path else of_json
    if twin.is_file():
        raise SettingsError(f"{path}: {sums.name} holds the sums of {twin.name}; use another name")
    if sums.exists():
        try:
            MetricSuite.load(sums)
        except DataError:
            raise SettingsError(f"{sums}: holds no sums of metrics; use another --out") from None


def predictions_sha256(dataset: Dataset, predictions: PredictionFolder) -> str:
    """One SHA-256 over the label files of all frames, in order.

    Where ground truth is sparse, predictions of other frames need not be there.

    Raises:
        DataError: a file is missing or not readable.
    """
    paths: list[Path] = []
    for clip in dataset:
        spared = {*predictions.missing(clip)} - {*clip.annotated}
        paths += [predictions.path(clip, i) for i in range(clip.num_frames) if i not in spared]
    return sha256_files(paths)


def count_predictions(
    dataset: Dataset,
    predictions: PredictionFolder,
    *,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda clip: None,
) -> MetricSuite:
    """Compare predictions with ground truth in one pass over the frames that have some, only these.

    Raises:
        DataError: ground truth or predictions are missing or cannot be used.
    """
    suite = MetricSuite(dataset.num_classes)
    # once glibc has been given back so much, it keeps the arrays of a frame for those of the next,
    # instead of giving them to the system and having every page of them cleared again
    np.empty(_KEPT_BYTES, np.uint8)
    for clip in dataset.clips:
        annotated = {*clip.annotated}
        if missing := [frame for frame in predictions.missing(clip) if frame in annotated]:
            path = predictions.path(clip, missing[0])
            raise DataError(
                f"{path}: no such prediction ({len(missing)} missing in this clip); give a folder "
                "with <clip>/<frame>.png"
            )
        if not annotated:
            clip.mask_path(0)  # says that there is none
        for frame in range(clip.num_frames):
            if frame not in annotated:
                suite.skip(clip.name)
                continue
            labels = predictions.read(clip, frame), clip.ground_truth(frame)
            suite.update(clip.name, *(torch.from_numpy(one).to(device) for one in labels))
        suite.finish()
        progress(clip.name)
    return suite


def offset_warning(dataset: Dataset, predictions: PredictionFolder) -> str | None:
    """What is wrong where predictions agree far better with ground truth shifted by one, else None.

    Raises:
        DataError: ground truth or predictions are missing or cannot be used.
    """
    frames = [(clip, frame) for clip in dataset for frame in clip.annotated]
    shifts, agree = (0, 1, -1), np.zeros(3)
    seen = frames[:: max(len(frames) // _LOOKED_AT, 1)]
    for clip, frame in seen:
        truth = clip.ground_truth(frame).astype(np.int16)
        labelled = truth != VOID
        difference = (predictions.read(clip, frame) - truth)[labelled]
        agree += [np.count_nonzero(difference == s) / max(len(difference), 1) for s in shifts]
    plain, up, down = agree / max(len(seen), 1)
    if max(up, down) - plain < _FAR_BETTER:
        return None
    of_masks, of_labels = (0, 1) if up > down else (1, 0)
    fixes: list[str] = []
    if dataset.mask_offset != of_masks:
        fixes.append(
            f"if masks number the classes from {of_masks}, do so in classes.json too, or give "
            f"--mask-offset {of_masks} where there is none"
        )
    if predictions.label_offset != of_labels:
        fixes.append(f"if predictions number them from {of_labels}, --label-offset {of_labels}")
    return (
        f"{predictions.root}: {plain:.0%} of the pixels agree with ground truth, but "
        f"{max(up, down):.0%} if it is shifted by one; {'; '.join(fixes)}"
    )


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


def write_evaluation(
    path: Path,
    suite: MetricSuite,
    dataset: Dataset,
    predictions: PredictionFolder,
    *,
    mask_offset: int | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Write the counts of predictions as `write_metrics` does, with what they follow from.

    `mask_offset` is what the caller has asked for, None where the class list says it.
    """
    given = {"label_offset": predictions.label_offset, "stray_labels": dataset.stray_labels}
    if mask_offset is not None:
        given["mask_offset"] = mask_offset
    provenance = collect_provenance(
        settings={"split": dataset.split, **given},
        data_sha256=dataset.content_sha256(),
        checkpoints={},
        predictions={str(predictions.root): predictions_sha256(dataset, predictions)},
        device=device,
        seed=seed,
    )
    return write_metrics(path, suite, provenance)
