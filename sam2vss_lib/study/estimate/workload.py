"""What a study's notebooks ask of every clip, as pieces of work that several of them share."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import GENERATED
from sam2vss_lib.datasets.manifests import load_datasets_manifest
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.run.planning import Plans, planned_settings, wanted_masklets
from sam2vss_lib.study.settings import (
    BaseSystem,
    BeyondSettings,
    IndependentSettings,
    StudySettings,
)
from sam2vss_lib.study.stages.context import open_split


class Piece(NamedTuple):
    """What is computed of a clip once, however many notebooks ask for it."""

    stage: str  # masklets, segment: LABEL, refine, ... as in `_STAGES` of the estimate
    name: tuple[object, ...]  # what tells it from others of the stage
    every: int = 1  # n-th frame of the clip


#: data set, split, every n-th frame, the first clips, and what is asked of each of them
_Part = tuple[str, str, int, int | None, tuple[Piece, ...]]


class ClipWork(NamedTuple):
    """Clips that the same notebooks use."""

    lengths: dict[int, int]  # by their number of frames, how many of the clips are so long
    source: str  # of the lengths, in words
    asked: tuple[tuple[Piece, ...], ...]  # by each of the notebooks


def study_workload(plans: Plans, clips: int | None, frames: int | None) -> list[ClipWork]:
    """Gather what the notebooks of `plan_study` ask for; those that only time things are left out.

    On paper, measured splits have so many `clips`, whose lengths repeat, or of so many `frames`.
    Errors are those of `clip_lengths`.
    """
    splits: dict[tuple[str, str, int], tuple[NDArray[np.int64], str]] = {}
    users: dict[tuple[str, str, int], list[tuple[int | None, tuple[Piece, ...]]]] = {}
    for one in planned_settings(plans).values():
        for dataset, split, step, limit, pieces in _asked(one):
            lengths, source = clip_lengths(one.model_copy(update={"dataset": dataset}), split)
            if (dataset, split) == (one.dataset, one.split) and (clips or frames):
                lengths = np.resize(frames or lengths, clips or len(lengths))
                source = f"{len(lengths):,} clips of {lengths.mean():.4g} frames, on paper"
            splits[dataset, split, step] = -(-lengths // step), source
            users.setdefault((dataset, split, step), []).append((limit, pieces))
    work: list[ClipWork] = []
    for place, (lengths, source) in splits.items():
        # cut where a notebook's clips end: all clips of a part get the same work
        until = [(min(limit or len(lengths), len(lengths)), of) for limit, of in users[place]]
        for start, stop in pairwise(sorted({0, *(last for last, _ in until)})):
            counted = np.column_stack(np.unique(lengths[start:stop], return_counts=True)).tolist()
            asked = tuple(pieces for last, pieces in until if last >= stop)
            work.append(ClipWork(dict(counted), source, asked))
    return work


@lru_cache
def clip_lengths(settings: StudySettings, split: str) -> tuple[NDArray[np.int64], str]:
    """Frames of all clips of a split: counted where it is there, else as published.

    Returns:
        The lengths, shape (clips,), and in words where they are from.

    Raises:
        DataError: the data set is there, but cannot be used.
        SettingsError: it is not there, and no data set with published sizes is known by its name.
    """
    name = settings.dataset
    if name in GENERATED or (PROJECT / name).exists():
        opened = open_split(settings, split)
        return np.array([clip.num_frames for clip in opened]), f"{name} {split}, counted on disk"
    known, lower = load_datasets_manifest().values(), Path(name).name.lower()
    facts = next((one for one in known if lower.startswith(one.name)), None)
    if facts is None or split not in facts.splits:
        raise SettingsError(
            f"dataset {name}: not there, and no published sizes of its split {split!r} are "
            "known; lay the data out, or give --set dataset=FOLDER"
        )
    clips, frames = facts.splits[split].clips, facts.splits[split].frames
    if frames is None:  # as long as the mean of all splits
        frames = round(facts.frames * clips / sum(one.clips for one in facts.splits.values()))
    said = f"{name} {split} is not there; published: {clips:,} clips, {frames:,} frames"
    return frames // clips + (np.arange(clips) < frames % clips), f"{said}, taken as equally long"


def _asked(settings: StudySettings) -> Iterator[_Part]:
    """The parts of a notebook's data."""
    if isinstance(settings, BeyondSettings):
        yield from _beyond(settings)
        return
    systems, votes, maps = settings.base_systems, settings.votes, list[Piece]()
    masklets = wanted_masklets(settings)
    pieces = [Piece("masklets", (one,)) for one in masklets]
    if settings.sweep is not None:  # an ablation is about the first base system and vote
        systems, votes = systems[:1], votes[:1]
    elif isinstance(settings, IndependentSettings):
        used = {one.base for one in settings.encoders}
        systems, votes = tuple(one for one in systems if one.label in used), ()
        encoders = [one for one in settings.encoders if one.encoder is not None]
        trained, stride = settings.training_masklets, settings.feature_frame_stride
        there = tuple(Piece("features", (one.encoder, trained)) for one in encoders)
        there += (Piece("masklets", (trained,)),)
        if encoders:
            yield (
                settings.dataset,
                settings.train_split,
                settings.train_frame_step,
                settings.train_clips,
                there,
            )
        for one in encoders:
            pieces.append(Piece("features", (one.encoder, settings.masklets), stride))
            # a map for every seed and for the true classes, alone and over the base system's
            for who in (*((one.label, seed) for seed in settings.classifier_seeds), "true"):
                maps += [Piece("paint", (who, below)) for below in (None, one.base)]
    maps += [Piece("refine", (s.label, v, m)) for s in systems for v in votes for m in masklets]
    pieces += [Piece(f"segment: {one.label}", ()) for one in systems if one.segmentor] + maps
    evaluated = (*(one.label for one in systems), *maps)
    pieces += [Piece("evaluate", (one, settings.max_clips)) for one in evaluated]
    yield settings.dataset, settings.split, 1, settings.max_clips, (*pieces,)


def _beyond(settings: BeyondSettings) -> Iterator[_Part]:
    """What rules beyond the paper are fitted on, measured on, and tried on besides.

    One pass over the evidence scores all rules; those that need none are refined and evaluated.
    """
    systems, masklets = settings.base_systems, Piece("masklets", (settings.masklets,))

    def segments(of: Sequence[BaseSystem]) -> tuple[Piece, ...]:
        return tuple(Piece(f"segment: {one.label}", ()) for one in of if one.segmentor)

    fitted = tuple(Piece("evidence", (one.label,)) for one in systems)
    yield settings.dataset, settings.fit_split, 1, None, (masklets, *segments(systems), *fitted)
    votes = ["frame", "soft", *(["ensemble"] if len(systems) > 1 else [])]
    maps = [Piece("refine", (one.label, vote)) for one in systems for vote in votes]
    pieces = [masklets, Piece("fill", ()), *segments(systems), *maps]
    pieces += [Piece("evaluate", (one,)) for one in maps]
    pieces += [Piece("refine", (one.label, "adaptive")) for one in systems]  # for the gate's table
    pieces += [Piece("weigh", (one.label, on)) for one in systems for on in ("grid", "filled")]
    yield settings.dataset, settings.split, 1, settings.max_clips, (*pieces,)
    for other in settings.other_data:
        pieces = [Piece("weigh", (other.label,))]
        pieces += [masklets] if other.masklets is None else []
        pieces += segments(systems[:1]) if other.predictions is None else ()
        yield other.dataset, other.split, 1, None, (*pieces,)
