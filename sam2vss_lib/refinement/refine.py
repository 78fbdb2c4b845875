"""The stage that refines: predictions and masklets in, refined labels out."""

from collections.abc import Callable
from typing import Any

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.store import ClipMasklets, MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder, write_labels
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.refinement.window import Window
from sam2vss_lib.storage.records import is_finished, sha256_files


def refine(
    dataset: Dataset,
    predictions: PredictionFolder,
    masklets: MaskletStore,
    out: PredictionFolder,
    settings: RefineSettings | None = None,
    *,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Refine the predictions of every clip into `out`; finished clips are reused.

    Ground truth is not used, and frames are compared with the masklets'. The result does not depend
    on the device. `progress` is called with each clip's name when it is done.

    Returns:
        Number of clips that were reused.

    Raises:
        DataError: predictions or masklets are missing or do not fit the clip, or `out` holds a
            refinement of something else, or files of unknown origin.
        SettingsError: `out` is the folder of `predictions`.
    """
    settings = settings or RefineSettings()
    if out.root.resolve() == predictions.root.resolve():
        raise SettingsError(f"{out.root}: holds the predictions to refine; choose another --out")

    def work(clip: Clip) -> bool:
        if missing := predictions.missing(clip):
            path = predictions.path(clip, missing[0])
            raise DataError(
                f"{path}: no such prediction; run sam2vss segment first, or give a folder with "
                "<clip>/<frame>.png"
            )
        known = masklets.metadata(clip.name)
        predictions.check_frames(clip, known.get("frames_sha256"))
        made_from: dict[str, Any] = {
            "settings": settings.model_dump(mode="json"),
            "predictions_label_offset": predictions.label_offset,
            "label_offset": out.label_offset,
            "masklets_sha256": sha256_files([masklets.path(clip.name)]),
            "predictions_sha256": sha256_files(
                predictions.path(clip, i) for i in range(clip.num_frames)
            ),
        }
        if is_finished(out.root / clip.name, made_from):
            masklets.check_frames(clip, known)
            return True
        stored = masklets.open(clip, overlap=settings.overlap)
        refined = _refine_clip(clip, predictions, stored, settings, device)
        write_labels(out, clip, refined, made_from)
        return False

    return each_clip(dataset, [out.root], work, progress)


def _refine_clip(
    clip: Clip,
    predictions: PredictionFolder,
    stored: ClipMasklets,
    settings: RefineSettings,
    device: str,
) -> list[Labels]:
    """Refined labels of all frames, (H, W) uint8; those without masklets as they were."""
    rule = VOTES.find(settings.vote).load()
    refined: dict[int, Labels] = {}
    for parts in stored.windows():
        window = Window(clip, predictions, parts, settings.overlap, device)
        for part, labels in zip(parts, rule(window), strict=True):
            refined[part.frame] = labels
    return [
        refined[i] if i in refined else predictions.read(clip, i) for i in range(clip.num_frames)
    ]
