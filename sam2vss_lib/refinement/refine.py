"""The stage that refines: predictions and masklets in, refined labels out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.images import LABEL_FORMATS, image_size
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.store import ClipMasklets, MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder, write_labels
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.refinement.trust import Trust
from sam2vss_lib.refinement.window import Window
from sam2vss_lib.storage.files import sha256_file
from sam2vss_lib.storage.records import is_finished, sha256_files


def refine(
    dataset: Dataset,
    predictions: PredictionFolder,
    masklets: MaskletStore,
    out: PredictionFolder,
    settings: RefineSettings | None = None,
    *,
    others: Sequence[PredictionFolder] = (),
    device: str = "auto",
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Refine the predictions of every clip into `out`; finished clips are reused.

    Ground truth is not used, and frames are compared with the masklets'. The result does not depend
    on the device. Rules that ask several base models are given the predictions of `others` too.
    `progress` is called with each clip's name when it is done.

    Returns:
        Number of clips that were reused.

    Raises:
        DataError: predictions or masklets are missing or do not fit the clip, or `out` holds a
            refinement of something else, or files of unknown origin.
        SettingsError: `out` is the folder of `predictions`, or the rule needs others and has none,
            or has some and needs none.
    """
    settings = settings or RefineSettings()
    rule = VOTES.find(settings.vote)
    if out.root.resolve() in (one.root.resolve() for one in (predictions, *others)):
        raise SettingsError(f"{out.root}: holds the predictions to refine; choose another --out")
    if rule.needs_others != bool(others):
        several = "twice or more" if rule.needs_others else "once"
        raise SettingsError(f"--vote {settings.vote}: give --predictions {several}")
    arbiter = _arbiter(settings)

    def work(clip: Clip) -> bool:
        known = masklets.metadata(clip.name)
        for one in (predictions, *others):
            check_complete(one, clip)
            one.check_frames(clip, known.get("frames_sha256"))
        made_from: dict[str, Any] = {
            "settings": settings.identity(),
            "predictions_label_offset": predictions.label_offset,
            "label_offset": out.label_offset,
            "masklets_sha256": sha256_files([masklets.path(clip.name)]),
            "predictions_sha256": _labels_sha256(predictions, clip),
            **arbiter,
        }
        if others:
            made_from["others_sha256"] = [_labels_sha256(one, clip) for one in others]
        if rule.probabilities != "unread":
            paths = probability_files(predictions, clip, settings.vote)
            made_from["probabilities_sha256"] = sha256_files(paths) if paths else None
        if is_finished(out.root / clip.name, made_from):
            masklets.check_frames(clip, known)
            return True
        stored = masklets.open(clip, overlap=settings.overlap)
        refined, facts = _refine_clip(clip, predictions, stored, settings, device, others)
        write_labels(out, clip, refined, made_from, facts)
        return False

    return each_clip(dataset, [out.root], work, progress)


def check_complete(predictions: PredictionFolder, clip: Clip) -> None:
    """Refuse predictions that a frame of a clip has none of.

    Raises:
        DataError: the first that is missing.
    """
    if missing := predictions.missing(clip):
        path = predictions.path(clip, missing[0])
        raise DataError(
            f"{path}: no such prediction; give a folder with <clip>/<frame>.png, or have a base "
            "model predict (sam2vss segment; --model of apply)"
        )


def check_predictions(predictions: PredictionFolder, clip: Clip) -> None:
    """Refuse predictions that will not do for a clip, before hours go into its masklets.

    Of most frames only the size is read, of some the values.

    Raises:
        DataError: one is missing, not readable or of another size, or has values of no class.
    """
    check_complete(predictions, clip)
    some = max(1, clip.num_frames // 4)
    for i in range(clip.num_frames):
        if i % some:
            path = predictions.path(clip, i)
            clip.check_size(path, image_size(path, formats=LABEL_FORMATS))
        else:
            predictions.read(clip, i)


def _arbiter(settings: RefineSettings) -> dict[str, str]:
    """What a record says of the arbiter, if there is one."""
    if (path := settings.arbiter_path()) is None:
        return {}
    demo = {"arbiter": "demo: for generated clips alone"} if settings.has_demo_arbiter else {}
    return {"arbiter_sha256": sha256_file(path), **demo}


def _labels_sha256(predictions: PredictionFolder, clip: Clip) -> str:
    return sha256_files(predictions.path(clip, i) for i in range(clip.num_frames))


def probability_files(predictions: PredictionFolder, clip: Clip, vote: str) -> list[Path]:
    """The files of a clip's probabilities: of all its frames or, if the rule can do so, of none.

    Raises:
        DataError: some frames have none.
    """
    paths = [predictions.probabilities_path(clip, i) for i in range(clip.num_frames)]
    lacking = [path for path in paths if not path.is_file()]
    if len(lacking) == len(paths) and VOTES[vote].probabilities == "read":
        return []
    if lacking:
        raise DataError(
            f"{lacking[0]}: no such probabilities, which --vote {vote} reads ({len(lacking)} of "
            f"{len(paths)} frames of this clip have none); run sam2vss segment with "
            "--probabilities, or write them beside the labels"
        )
    return paths


def _refine_clip(
    clip: Clip,
    predictions: PredictionFolder,
    stored: ClipMasklets,
    settings: RefineSettings,
    device: str,
    others: Sequence[PredictionFolder],
) -> tuple[list[Labels], dict[str, Any] | None]:
    """Refined labels of all frames, (H, W) uint8; those without masklets as they were.

    What the gate has found comes with the labels of rules that weigh evidence; masklets that
    deserve no trust change none.
    """
    rule, trust = VOTES.find(settings.vote), Trust()
    refined: dict[int, Labels] = {}
    for parts in stored.windows():
        window = Window(clip, predictions, parts, settings.overlap, device, others, settings, trust)
        for part, labels in zip(parts, rule.load()(window), strict=True):
            refined[part.frame] = labels
    facts = trust.facts(gated=settings.gate) if rule.weighs else None
    if facts is not None and not facts["trusted"]:
        refined.clear()
    return [
        refined[i] if i in refined else predictions.read(clip, i) for i in range(clip.num_frames)
    ], facts
