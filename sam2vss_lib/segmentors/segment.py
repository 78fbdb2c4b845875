"""The stage that writes a base model's predictions, clip by clip."""

from collections.abc import Callable
from typing import Any

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.storage.records import is_finished, mark_finished, mark_started


def segment(
    dataset: Dataset,
    segmentor: Segmentor,
    out: PredictionFolder,
    *,
    save_probabilities: bool = False,
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Predict every frame of every clip; finished clips are reused, and their number is returned.

    Ground truth is not read. Labels go to `out`, and probabilities beside them if they are wanted;
    they take far more room. `progress` is called with each clip's name when it is done.

    Raises:
        SettingsError: the data set or `out` has another number of classes than the model.
        DataError: a frame is not readable, or `out` holds predictions made from something else or
            of unknown origin.
    """
    check_classes(dataset, segmentor, out)

    def work(clip: Clip) -> bool:
        made_from: dict[str, Any] = {
            "model": segmentor.name,
            "checkpoint_sha256": segmentor.checkpoint_sha256,
            "options": segmentor.options.identity(),
            **segmentor.made_with,
            "frames_sha256": clip.frames_sha256(),
            "save_probabilities": save_probabilities,
            "label_offset": out.label_offset,
        }
        folder = out.root / clip.name
        if is_finished(folder, made_from):
            return True
        for i in range(clip.num_frames):
            clip.frame(i)  # one that cannot be read stops the clip before anything is written
        mark_started(folder, made_from)
        _segment_clip(clip, segmentor, out, save_probabilities)
        mark_finished(folder, made_from)
        return False

    return each_clip(dataset, [out.root], work, progress)


def check_classes(dataset: Dataset, segmentor: Segmentor, out: PredictionFolder) -> None:
    """Refuse a base model of other classes.

    Raises:
        SettingsError: the data set or `out` has another number of classes than the model.
    """
    known = {
        f"the data set {dataset.root}": dataset.class_count,  # None for footage without labels
        f"the prediction folder {out.root}": out.num_classes,
    }
    for what, count in known.items():
        if count not in (None, segmentor.num_classes):
            raise SettingsError(
                f"model {segmentor.name} has {segmentor.num_classes} classes but {what} has "
                f"{count}; use a model trained on these classes"
            )


def _segment_clip(
    clip: Clip, segmentor: Segmentor, out: PredictionFolder, save_probabilities: bool
) -> None:
    frames = (clip.frame(i) for i in range(clip.num_frames))
    predictions = segmentor.predict_clip(frames, with_probabilities=save_probabilities)
    for i, prediction in enumerate(predictions):
        probabilities = prediction.probabilities
        out.write(
            clip,
            i,
            prediction.labels.cpu().numpy(),
            None if probabilities is None else probabilities.cpu().numpy(),
        )
