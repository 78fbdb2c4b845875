"""The failure atlas: what refinement spoils in a data set, counted by cause and clip."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import ClipMasklets
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.refinement.window import Changes, Window
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.study.analyses.failure_atlas.causes import (
    CAUSES,
    Fragment,
    Frame,
    WindowMasklets,
)
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.context import Progress
from sam2vss_lib.study.stages.evaluation import predictions_sha256

_KEPT = 20  # fragments of a cause, the largest of the data set
UNCOVERED, PUT_RIGHT, LABELLED = "uncovered", "put right", "labelled"
_FOUND_AT = ("clip", "window", "frame")
_NUMBERS = ["cause", "clip", "pixels", "fragments"]


@dataclass(frozen=True)
class Atlas:
    """What the first refinement of a study does to single pixels."""

    base: Row
    refined: Row
    #: columns `cause`, `clip`, `pixels`, `fragments`; of every cause of `CAUSES` and besides, with
    #: no fragments, pixels that were wrong and are under no masklet, those that were put right, and
    #: all with ground truth
    counts: pd.DataFrame
    #: the largest fragments of each cause, those first, no two of one masklet and cause: `clip`,
    #: `window`, `frame` (index), and the fields of `Fragment`
    fragments: pd.DataFrame

    def pixels(self, cause: str) -> int:
        """All pixels of a cause."""
        return int(self.counts.loc[self.counts["cause"] == cause, "pixels"].sum())

    @property
    def causes(self) -> list[str]:
        """Those that occur, the one of most pixels first."""
        return sorted(filter(self.pixels, CAUSES), key=lambda cause: -self.pixels(cause))

    @property
    def harmed(self) -> int:
        """All pixels that were spoilt."""
        return sum(map(self.pixels, CAUSES))


def failure_atlas(study: Study, pairs: Sequence[tuple[Row, Row]]) -> Atlas | None:
    """The atlas of the first refinement that was run, counted once and kept; None without any."""
    if not pairs:
        return None
    base, refined = pairs[0]
    settings = study.settings.refinement(study.settings.votes[0])
    labels = base.run.predictions
    made_from = [
        study.data_sha256, study.settings.stray_labels, study.masklets.root.name,
        predictions_sha256(study.dataset, labels), labels.label_offset,
        settings.model_dump(mode="json"), CAUSES, _KEPT,
    ]  # fmt: skip
    key = study.key(sha256_json(made_from))
    make = partial(_count, study, labels, settings)
    kept = study.kept_values("failure atlas", "atlas", key, make)
    columns = [*_FOUND_AT, *Fragment._fields]
    fragments = pd.DataFrame(kept["fragments"], columns=columns)
    return Atlas(base, refined, pd.DataFrame(kept["counts"], columns=_NUMBERS), fragments)


def _count(
    study: Study, labels: PredictionFolder, settings: RefineSettings, progress: Progress
) -> dict[str, Any]:
    """Go through the frames once; memory does not grow with their number."""
    counts, largest = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for clip in study.dataset:
        stored = study.masklets.read(clip.name)
        pixels = Counter[str](dict.fromkeys((*CAUSES, UNCOVERED, PUT_RIGHT, LABELLED), 0))
        number = Counter[str]()
        found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for window, frame, harm, others in _frames(clip, labels, stored, settings, study.device):
            pixels.update(others)
            for fragment in harm:
                number[fragment.cause] += 1
                pixels[fragment.cause] += fragment.pixels
                whose = fragment.cause, window, fragment.masklet
                if whose not in found or found[whose][-1].pixels < fragment.pixels:
                    found[whose] = clip.name, window, frame, fragment
        counts += [(cause, clip.name, pixels[cause], number[cause]) for cause in pixels]
        largest = _largest([*largest, *found.values()])
        progress(clip.name)
    return {"counts": counts, "fragments": [(*at, *fragment) for *at, fragment in largest]}


def _largest(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The largest fragments of each cause, in the order in which they were found where equal."""
    kept, number = list[tuple[Any, ...]](), Counter[str]()
    for one in sorted(found, key=lambda one: -one[-1].pixels):
        number[one[-1].cause] += 1
        if number[one[-1].cause] <= _KEPT:
            kept.append(one)
    return kept


class _Watched(Window):
    """A window that remembers what its masklets voted for, and which of them painted a pixel."""

    def __post_init__(self) -> None:
        """See `Window`."""
        super().__post_init__()
        self.painters: dict[int, tuple[Labels, NDArray[np.int32]]] = {}  # by frame of the window

    def painted(self, index: int, classes: Labels, known: Changes | None = None) -> Labels:
        """See `Window`; it is found first who paints, then in which class."""
        top = painters(self.parts[index], self.overlap, classes)
        self.painters[index] = classes, top
        return np.where(top < 0, self.labels(index), classes[top])


def _frames(
    clip: Clip,
    predictions: PredictionFolder,
    stored: ClipMasklets,
    settings: RefineSettings,
    device: str,
) -> Iterator[tuple[int, int, list[Fragment], dict[str, int]]]:
    """Window, frame, harmed fragments and other numbers of pixels of all annotated frames.

    The labels are refined here as in the stage that refines, so that it is known what each
    masklet votes for; window -1 is that of frames without masklets.
    """
    left = {*clip.annotated}
    rule = VOTES.find(settings.vote).load()
    for parts in stored.windows():
        if left.isdisjoint(part.frame for part in parts):
            continue
        window = _Watched(clip, predictions, parts, settings.overlap, device)
        masklets, number = WindowMasklets(), int(parts[0].rows["window"][0].as_py())
        for index, (part, refined) in enumerate(zip(parts, rule(window), strict=True)):
            if part.frame in left:
                left.remove(part.frame)
                frame = _frame(window, index, refined)
                yield number, part.frame, masklets.fragments(frame), _others(frame)
    for index in sorted(left):
        truth, base = clip.ground_truth(index), predictions.read(clip, index)
        nothing = np.zeros((0, *truth.shape), np.bool_)
        top = np.full(truth.shape, -1)
        frame = Frame(truth, base, base, nothing, np.zeros(0, np.uint8), top)
        yield -1, index, [], _others(frame)


def _frame(window: _Watched, index: int, refined: Labels) -> Frame:
    """A frame of a window, of which a rule may also paint no masklets."""
    part, base = window.parts[index], window.labels(index)
    masks = part.masks()
    nobody = np.full(len(masks), VOID, np.uint8), np.full(base.shape, -1, np.int32)
    classes, top = window.painters.pop(index, nobody)
    return Frame(window.clip.ground_truth(part.frame), base, refined, masks, classes, top)


def _others(frame: Frame) -> dict[str, int]:
    """Pixels that are no harm."""
    labelled, wrong = frame.truth != VOID, frame.base != frame.truth
    right_now = frame.refined == frame.truth
    return {
        LABELLED: int(labelled.sum()),
        PUT_RIGHT: int((labelled & wrong & right_now).sum()),
        UNCOVERED: int((labelled & wrong & ~frame.masks.any(0)).sum()),
    }
