"""What a study's notebooks ask of every clip, each by itself and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.clip_lengths import ClipLengths, clip_lengths
from sam2vss_lib.study.run.planning import planned_settings, wanted_masklets
from sam2vss_lib.study.settings import IndependentSettings, StudySettings

Named: TypeAlias = tuple[object, ...]
Refined: TypeAlias = tuple[str, str, MaskletSettings]


@dataclass(frozen=True)
class Pooling:
    """Features of an encoder under masklets.

    Attributes:
        encoder: its name.
        masklets: what is pooled.
        stride: every n-th frame of a window is encoded.
        pool: `masklet` for one vector a masklet, `frame` for one on every encoded frame.
    """

    encoder: str
    masklets: MaskletSettings
    stride: int = 1
    pool: str = "masklet"


@dataclass(frozen=True)
class Asked:
    """What one notebook asks of every clip it measures or trains on.

    Equal elements of two notebooks' sets are computed once and found by the other.

    Attributes:
        masklets: settings.
        segmented: labels of base systems run here.
        converted: labels of base systems read from other formats than label PNGs.
        refined: label maps of the refiner, by (base system, vote, masklets).
        evaluated: label maps that are compared with ground truth, by name and number of clips.
        pooled: features.
        painted: label maps of classified masklets, by name.
    """

    masklets: tuple[MaskletSettings, ...] = ()
    segmented: frozenset[str] = frozenset()
    converted: frozenset[str] = frozenset()
    refined: frozenset[Refined] = frozenset()
    evaluated: frozenset[Named] = frozenset()
    pooled: frozenset[Pooling] = frozenset()
    painted: frozenset[Named] = frozenset()


@dataclass(frozen=True)
class ClipWork:
    """Clips of a split that the same notebooks use.

    Attributes:
        lengths: of all clips of the split.
        start: first of these clips.
        stop: first clip after them.
        asked: by each of the notebooks.
    """

    lengths: ClipLengths
    start: int
    stop: int
    asked: tuple[Asked, ...]

    def histogram(self) -> Counter[int]:
        """How many of these clips are how many frames long."""
        return self.lengths.histogram(self.start, self.stop)


@dataclass(frozen=True)
class Classifiers:
    """Trainings that cannot be split over clips.

    Attributes:
        number: of trainings.
        frames: that each is trained on.
    """

    number: int
    frames: int


@dataclass(frozen=True)
class Workload:
    """Everything a study will compute.

    Attributes:
        clips: work on clips, by range of clips.
        classifiers: trained afterwards, one entry a notebook.
        settings: of the first notebook about a data set, which names the model and the device.
    """

    clips: tuple[ClipWork, ...]
    classifiers: tuple[Classifiers, ...]
    settings: StudySettings


def study_workload(
    plans: Mapping[Path, dict[str, Any]], clips: int | None = None, frames: int | None = None
) -> Workload | None:
    """Gather what notebooks will ask for; None where none of them uses a data set.

    Notebooks that only time things are left out, and so are figures and intervals.

    Args:
        plans: of `plan_study`.
        clips: clips of every measured split, when not as many as there are.
        frames: of every measured clip, when not as many as there are.

    Raises:
        DataError, SettingsError: see `clip_lengths`.
    """
    splits: dict[tuple[str, str, int], ClipLengths] = {}
    asked: dict[tuple[str, str, int], list[tuple[int | None, Asked]]] = {}
    classifiers: list[Classifiers] = []
    every = [*planned_settings(plans)]
    for settings in every:
        place = (settings.dataset, settings.split, 1)
        if place not in splits:
            splits[place] = clip_lengths(settings, settings.split).scaled(clips, frames)
        asked.setdefault(place, []).append((settings.max_clips, _asked(settings)))
        if isinstance(settings, IndependentSettings) and any(_trained(settings)):
            step, limit = settings.train_frame_step, settings.train_clips
            place = (settings.dataset, settings.train_split, step)
            if place not in splits:
                splits[place] = clip_lengths(settings, settings.train_split).sampled(step)
            asked.setdefault(place, []).append((limit, _asked_of_training(settings)))
            lengths = splits[place]
            counted = lengths.histogram(0, lengths.clips if limit is None else limit)
            number = len(_trained(settings)) * len(settings.classifier_seeds)
            classifiers.append(Classifiers(number, sum(n * c for n, c in counted.items())))
    if not every:
        return None
    work = [one for place, lengths in splits.items() for one in _ranges(lengths, asked[place])]
    return Workload(tuple(work), tuple(classifiers), every[0])


def _ranges(lengths: ClipLengths, asked: Sequence[tuple[int | None, Asked]]) -> Iterator[ClipWork]:
    """Cut a split where a notebook's clips end: all clips of a range get the same work."""
    stops = [min(lengths.clips, limit or lengths.clips) for limit, _ in asked]
    for start, stop in pairwise(sorted({0, *stops})):
        users = [one for (_, one), last in zip(asked, stops, strict=True) if last >= stop]
        yield ClipWork(lengths, start, stop, tuple(users))


def _asked(settings: StudySettings) -> Asked:
    """What a notebook asks of the clips it measures on."""
    independent = isinstance(settings, IndependentSettings)
    # an ablation is about the first base system and the first vote
    systems, votes = settings.base_systems, settings.votes
    if settings.sweep is not None:
        systems, votes = systems[:1], votes[:1]
    elif independent:
        used = {encoder.base for encoder in settings.encoders}
        systems, votes = tuple(s for s in systems if s.label in used), ()
    masklets = tuple(dict.fromkeys(wanted_masklets(settings)))
    refined = {(s.label, vote, one) for s in systems for vote in votes for one in masklets}
    painted = _painted(settings) if independent else set[Named]()
    maps = {*((s.label,) for s in systems), *refined, *painted}
    return Asked(
        masklets=masklets,
        segmented=frozenset(s.label for s in systems if s.segmentor is not None),
        converted=frozenset(s.label for s in systems if s.predictions and s.format != "index"),
        refined=frozenset(refined),
        evaluated=frozenset((*one, settings.max_clips) for one in maps),
        pooled=_pooled(settings) if independent else frozenset(),
        painted=frozenset(painted),
    )


def _asked_of_training(settings: IndependentSettings) -> Asked:
    """What Table 3 asks of the clips that classifiers are trained on."""
    masklets = settings.training_masklets
    pooled = frozenset(Pooling(encoder, masklets) for encoder in _trained(settings))
    return Asked(masklets=(masklets,), pooled=pooled)


def _trained(settings: IndependentSettings) -> list[str]:
    """Encoders that classifiers are trained for; rows without one are not run."""
    return [one.encoder for one in settings.encoders if one.encoder is not None]


def _pooled(settings: IndependentSettings) -> frozenset[Pooling]:
    stride, pool = settings.feature_frame_stride, settings.feature_pool
    return frozenset(
        Pooling(encoder, settings.masklets, stride, pool) for encoder in _trained(settings)
    )


def _painted(settings: IndependentSettings) -> set[Named]:
    """Label maps of classified masklets: of every seed, and of the true classes as a bound."""
    painted: set[Named] = set()
    for one in settings.encoders:
        for below in (None, one.base) if one.encoder is not None else ():
            painted |= {("paint", one.label, seed, below) for seed in settings.classifier_seeds}
            painted.add(("paint", "true classes", below))
    return painted


def together(asked: Iterable[Asked]) -> Asked:
    """What several notebooks ask, equal things once."""
    every = [*asked]
    return Asked(
        masklets=tuple(dict.fromkeys(m for one in every for m in one.masklets)),
        segmented=frozenset[str]().union(*(one.segmented for one in every)),
        converted=frozenset[str]().union(*(one.converted for one in every)),
        refined=frozenset[Refined]().union(*(one.refined for one in every)),
        evaluated=frozenset[Named]().union(*(one.evaluated for one in every)),
        pooled=frozenset[Pooling]().union(*(one.pooled for one in every)),
        painted=frozenset[Named]().union(*(one.painted for one in every)),
    )
