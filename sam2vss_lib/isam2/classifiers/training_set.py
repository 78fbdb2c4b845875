"""Which masklets a classifier is trained on, and which clips decide when to stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.classifiers.mlp import ClassifierSettings
from sam2vss_lib.isam2.features.store import FeatureStore


@dataclass(frozen=True)
class TrainingSet:
    """Labelled masklets of several clips."""

    features: NDArray[Any]  # (n, D) float16 or float32
    labels: NDArray[np.uint8]  # (n,) uint8 in 0..C-1
    clip: NDArray[np.int64]  # (n,) int64 index into `clip_names`
    clip_names: tuple[str, ...]  # the clips, those without a usable masklet included
    encoder: dict[str, Any]  # identity of the encoder that the features are of
    num_classes: int  # C
    left_out: dict[str, int]  # rows that were not taken, by reason (`void`, `mixed`)


def read_training_set(
    store: FeatureStore, clips: Sequence[str], settings: ClassifierSettings
) -> TrainingSet:
    """Read the rows of some clips of a store that may be trained on.

    Left out as void is a masklet without any labelled pixel, or with more void than
    `max_void_share`; left out as mixed is one whose purity is below `min_purity`.

    Raises:
        DataError: a clip's features are missing, unreadable or without labels, clips differ in
            encoder, settings or classes, or no row is left.
        SettingsError: no clip is named.
    """
    if not clips:
        raise SettingsError("no clip to train on; name at least one")
    first: dict[str, Any] | None = None
    features, labels, index = list[NDArray[Any]](), list[NDArray[np.uint8]](), list[int]()
    left_out = {"void": 0, "mixed": 0}
    for number, name in enumerate(clips):
        stored = store.read(name)
        shared = {key: stored.metadata[key] for key in ("encoder", "settings", "num_classes")}
        if shared["num_classes"] is None:
            raise DataError(f"{store.path(name)}: extracted without labels; extract it with them")
        first = first or shared
        if shared != first:
            raise DataError(
                f"{store.path(name)}: of another encoder, settings or classes than {clips[0]}; "
                "extract the features of all clips alike"
            )
        rows = stored.rows
        void = (rows.label == VOID) | (rows.void_share > settings.max_void_share)
        mixed = ~void & (rows.purity < settings.min_purity)
        kept = ~void & ~mixed
        left_out["void"] += int(void.sum())
        left_out["mixed"] += int(mixed.sum())
        features.append(rows.features[kept])
        labels.append(rows.label[kept])
        index += [number] * int(kept.sum())
    if not index:
        raise DataError(
            f"{store.root}: no masklet of {len(clips)} clips can be trained on "
            f"({left_out['void']} void, {left_out['mixed']} mixed); lower min_purity or take "
            "more clips"
        )
    assert first is not None
    return TrainingSet(
        np.concatenate(features),
        np.concatenate(labels),
        np.array(index, np.int64),
        tuple(clips),
        first["encoder"],
        int(first["num_classes"]),
        left_out,
    )


def validation_clips(training: TrainingSet, settings: ClassifierSettings) -> NDArray[np.int64]:
    """Indices of the clips that are not trained on; drawn from those that have rows.

    Raises:
        SettingsError: there is but one clip with rows and `validation_fraction` is not 0.
    """
    if settings.validation_fraction == 0:
        return np.zeros(0, np.int64)
    usable = np.unique(training.clip)
    if len(usable) < 2:
        raise SettingsError(
            "validation_fraction: masklets of two clips are needed to set one apart; "
            "take more clips, or 0"
        )
    # by name, so that the split does not depend on the order of the clips
    usable = np.array(sorted(usable.tolist(), key=lambda index: training.clip_names[index]))
    count = min(max(1, round(settings.validation_fraction * len(usable))), len(usable) - 1)
    return np.random.default_rng(settings.seed).permutation(usable)[:count]
