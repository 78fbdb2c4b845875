"""SAM2 as the segmentor (I-SAM2, section 3.1.2): classified masklets become a label map.

What no masklet covers stays void (255), which the metrics count as an error of the true class and
as a false positive of none; with a base model's predictions to fill it, the result is I-X_base.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.features.store import WHOLE_WINDOW, ClipFeatures, FeatureStore
from sam2vss_lib.isam2.probabilities import paint_probabilities
from sam2vss_lib.masklets.store import ClipMasklets, FrameMasklets, MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder, write_labels
from sam2vss_lib.refinement.painting import paint_frame
from sam2vss_lib.refinement.settings import Overlap
from sam2vss_lib.storage.records import is_finished, sha256_files


class MaskletClassifier(Protocol):
    """What gives masklets their classes: trained on features, or made of words."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The C classes, label 0 first."""
        ...

    @property
    def made_with(self) -> dict[str, Any]:
        """What records say of it beside its hash; JSON-able."""
        ...

    def sha256(self) -> str:
        """Hash of all that its answers depend on."""
        ...

    def check_encoder(self, encoder: dict[str, Any], source: object) -> None:
        """Refuse features of another encoder."""
        ...

    def classify(self, features: NDArray[Any]) -> NDArray[np.uint8]:
        """The class of each of n masklets, (n,)."""
        ...

    def probabilities(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """The probabilities of their classes, (n, C)."""
        ...


def segment_masklets(
    dataset: Dataset,
    masklets: MaskletStore,
    features: FeatureStore,
    classifier: MaskletClassifier | Literal["ground_truth"],
    out: PredictionFolder,
    *,
    fill: PredictionFolder | None = None,
    overlap: Overlap = "area",
    save_probabilities: bool = False,
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Paint the classified masklets of every clip; finished clips are reused.

    Masklets without a row of features, which were hidden on all frames pooled, paint nothing.

    Args:
        dataset: the clips; ground truth is not read, and frames are compared with the masklets'.
        masklets: their masklets.
        features: features of the same masklets.
        classifier: gives a class to each; "ground_truth" takes the label stored with the features
            instead: the most that any classifier could make of these masklets.
        out: where labels go, void where nothing is known.
        fill: labels of a base model for what no masklet covers (I-X_base).
        overlap: which masklet is on top, as in refinement.
        save_probabilities: whether to write those of the classes too: of the masklet on top; where
            there is none those of `fill`, or without it all classes alike.
        progress: called with each clip's name when it is done.

    Returns:
        Number of clips that were reused.

    Raises:
        DataError: masklets, features or predictions are missing or do not fit each other, the
            features are of another encoder than the classifier's or have no labels, or `out` holds
            something else or files of unknown origin.
        SettingsError: `out` is the folder of `fill`, numbers of classes differ, features of single
            frames leave frames out, or probabilities of the ground truth are wanted.
    """
    _check_folders(classifier, out, fill)
    identity = classifier if isinstance(classifier, str) else classifier.sha256()
    if isinstance(classifier, str) and save_probabilities:
        raise SettingsError("the ground truth has no probabilities; write its labels alone")

    def work(clip: Clip) -> bool:
        if fill is not None and (missing := fill.missing(clip)):
            path = fill.path(clip, missing[0])
            raise DataError(f"{path}: no such prediction; run sam2vss segment first")
        about, known = masklets.metadata(clip.name), features.read(clip.name)
        masklets_sha256 = sha256_files([masklets.path(clip.name)])
        _check_features(known, masklets_sha256, features.path(clip.name), classifier)
        made_from: dict[str, Any] = {
            "overlap": overlap,
            "label_offset": out.label_offset,
            "classifier_sha256": identity,
            "masklets_sha256": masklets_sha256,
            "features_sha256": sha256_files([features.path(clip.name)]),
            "fill_label_offset": None if fill is None else fill.label_offset,
            "fill_sha256": None
            if fill is None
            else sha256_files(fill.path(clip, i) for i in range(clip.num_frames)),
            **({"save_probabilities": True} if save_probabilities else {}),
            **({} if isinstance(classifier, str) else classifier.made_with),
        }
        if is_finished(out.root / clip.name, made_from):
            masklets.check_frames(clip, about)
            return True
        stored, rows = masklets.open(clip, overlap=overlap), _row_of(known)
        classes = known.rows.label
        if not isinstance(classifier, str):
            classes = classifier.classify(known.rows.features)
        classes = np.append(classes, np.uint8(VOID))  # of the masklets without a row
        painted = _paint_clip(clip, stored, lambda part: classes[rows(part)], fill, overlap)
        chances = None
        if save_probabilities and not isinstance(classifier, str):
            of_rows = classifier.probabilities(known.rows.features)
            chances = paint_probabilities(clip, stored, rows, of_rows, fill, overlap)
        write_labels(out, clip, painted, made_from, probabilities=chances)
        return False

    return each_clip(dataset, [out.root], work, progress)


def _row_of(features: ClipFeatures) -> Callable[[FrameMasklets], NDArray[np.intp]]:
    """A function from a frame's n masklets to their rows of features, (n,); -1 without any.

    Features, and so classes, are one a masklet and window, or one a masklet and frame.
    """
    rows, by_frame = features.rows, features.metadata["settings"]["pool"] == "frame"
    keys = zip(rows.masklet.tolist(), rows.frame.tolist(), strict=True)
    row_of = {key: row for row, key in enumerate(keys)}

    def of(part: FrameMasklets) -> NDArray[np.intp]:
        frame = part.frame if by_frame else WHOLE_WINDOW
        ids = part.values("masklet").tolist()
        return np.array([row_of.get((masklet, frame), -1) for masklet in ids], np.intp)

    return of


def _paint_clip(
    clip: Clip,
    stored: ClipMasklets,
    classes: Callable[[FrameMasklets], NDArray[np.uint8]],
    fill: PredictionFolder | None,
    overlap: Overlap,
) -> list[Labels]:
    """Labels of all frames, (H, W) uint8."""

    def canvas(i: int) -> Labels:
        return np.full(clip.size, VOID, np.uint8) if fill is None else fill.read(clip, i)

    done: dict[int, Labels] = {}
    for window in stored.windows():
        for part in window:
            done[part.frame] = paint_frame(canvas(part.frame), part, classes(part), overlap)
    return [done[i] if i in done else canvas(i) for i in range(clip.num_frames)]


def _check_folders(
    classifier: MaskletClassifier | Literal["ground_truth"],
    out: PredictionFolder,
    fill: PredictionFolder | None,
) -> None:
    if fill is not None and fill.root.resolve() == out.root.resolve():
        raise SettingsError(f"{out.root}: holds the predictions to fill with; choose another --out")
    counts = {f"folder {out.root}": out.num_classes}
    if fill is not None:
        counts[f"folder {fill.root}"] = fill.num_classes
    if not isinstance(classifier, str):
        counts["the classifier"] = len(classifier.class_names)
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{what} has {count}" for what, count in counts.items())
        raise SettingsError(f"numbers of classes differ: {said}")


def _check_features(
    features: ClipFeatures,
    masklets_sha256: str,
    path: Path,
    classifier: MaskletClassifier | Literal["ground_truth"],
) -> None:
    """Features must be of these masklets and of the classifier's encoder."""
    about = features.metadata
    if about["masklets_sha256"] != masklets_sha256:
        raise DataError(f"{path}: features of other masklets; use another folder for features")
    settings = about["settings"]
    if settings["pool"] == "frame" and settings["frame_stride"] != 1:
        raise SettingsError(
            f"{path}: holds one frame in {settings['frame_stride']}; to label all of them, "
            "extract features with frame_stride 1 or pool masklet"
        )
    if not isinstance(classifier, str):
        classifier.check_encoder(about["encoder"], path)
    elif about["truth_sha256"] is None:
        raise DataError(f"{path}: extracted without labels; extract it with them")
