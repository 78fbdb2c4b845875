"""From other systems' prediction formats to the project's: one label PNG a frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.predictions.folder import PredictionFolder, write_labels
from sam2vss_lib.predictions.importers.formats import FORMATS
from sam2vss_lib.predictions.importers.results import PickledResults
from sam2vss_lib.predictions.importers.sources import (
    IndexImages,
    PanopticImages,
    PanopticSegments,
    PredictionSource,
)
from sam2vss_lib.storage.records import is_finished


def open_predictions(
    format_name: str, path: Path, dataset: Dataset, *, label_offset: int = 0
) -> PredictionSource:
    """Open predictions of a data set in one of the known formats; little or nothing is read yet.

    Args:
        format_name: one of `FORMATS`.
        path: the folder of the predictions; for `mmseg-pkl` the file.
        dataset: the split that was predicted; for `mmseg-pkl` the whole of it.
        label_offset: 1 where classes are numbered from 1; only for `index` and `mmseg-pkl`, as
            the others say themselves where they count from.

    Raises:
        SettingsError: the format or the offset cannot be used.
        DataError: there is nothing at `path`, or the number of classes is unknown.
    """
    if format_name not in FORMATS:
        raise SettingsError(f"format {format_name!r}: known are {', '.join(FORMATS)}")
    has_offset = format_name in ("index", "mmseg-pkl")
    if label_offset not in ((0, 1) if has_offset else (0,)):
        allowed = "0 or 1" if has_offset else f"0 for format {format_name}"
        raise SettingsError(f"label_offset is {label_offset}; it must be {allowed}")
    if not path.exists():
        raise FileFault(path, "no such file or folder", "check where the predictions are")
    classes = dataset.num_classes
    match format_name:
        case "index":
            return IndexImages(path, classes, label_offset)
        case "panoptic-json":
            return PanopticSegments(path / "pan_pred", classes)
        case "vipseg":
            return PanopticImages(path, classes)
        case _:
            return PickledResults(path, dataset, label_offset)


def convert_predictions(
    dataset: Dataset,
    source: PredictionSource,
    out: PredictionFolder,
    *,
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Write predictions of another format as label PNGs; finished clips are reused.

    Names are checked for all clips before anything is written. One clip is held at a time.
    `progress` is called with each clip's name when it is done.

    Returns:
        Number of clips that were reused.

    Raises:
        DataError: a prediction is missing or cannot be used, or `out` holds predictions made from
            something else, or files of unknown origin.
    """
    for clip in dataset:
        source.check(clip)

    def work(clip: Clip) -> bool:
        made_from: dict[str, Any] = {
            "format": type(source).__name__,
            "source_sha256": source.sha256(clip),
            "source_label_offset": getattr(source, "label_offset", 0),
            "num_classes": out.num_classes,
            "label_offset": out.label_offset,
        }
        if is_finished(out.root / clip.name, made_from):
            return True
        labels = [source.read(clip, i) for i in range(clip.num_frames)]
        write_labels(out, clip, labels, made_from)
        return False

    return each_clip(dataset, [out.root], work, progress)
