"""A window of masklets whose votes are kept, so that choosing among them is quick; its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.evidence import FrameEvidence, gather, steady
from sam2vss_lib.fusion.rules.adaptive import MARGIN, WEIGHTS, score_of
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.refinement.window import Changes, Window
from sam2vss_lib.widgets.cache import MIB, Bounded


def _array_bytes(values: NDArray[Any]) -> int:
    return values.nbytes


@dataclass
class FrameMemory:
    """What was read and counted of the frames that were shown last, within bounds."""

    votes: Bounded[NDArray[np.int32]] = field(
        default_factory=lambda: Bounded(32 * MIB, _array_bytes)
    )
    labels: Bounded[Labels] = field(default_factory=lambda: Bounded(64 * MIB, _array_bytes))


@dataclass(kw_only=True)
class ChosenWindow(Window):
    """Some masklets of a window, for the vote rules of the library.

    `parts` are those of the chosen masklets.
    """

    stored: Sequence[FrameMasklets]  # of all masklets, frame by frame
    chosen: NDArray[np.bool_]  # which of them
    memory: FrameMemory
    key: tuple[Any, ...]  # of these masklets in the memory
    base: str  # of the predictions in the memory
    wanted: int | None = None  # the only frame that is to be painted, by its index; None for all

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.classes: dict[int, Labels] = {}  # (n,) of painted frames

    def labels(self, index: int) -> Labels:
        """See `Window.labels`."""
        frame = self.stored[index].frame
        return self.memory.labels.get(
            (self.clip.name, self.base, frame), lambda: self.predictions.read(self.clip, frame)
        )

    def votes(self, index: int) -> NDArray[np.int64]:
        """See `Window.votes`; those of all stored masklets are counted once."""

        def count() -> NDArray[np.int32]:
            runs, classes = self.stored[index].runs(), self.predictions.num_classes
            return count_votes(runs, self.labels(index), classes).astype(np.int32)

        key = *self.key, self.base, self.stored[index].frame
        return self.memory.votes.get(key, count)[self.chosen].astype(np.int64)

    def painted(self, index: int, classes: Labels, known: Changes | None = None) -> Labels:
        """See `Window.painted`; nothing where it is not wanted."""
        if self.wanted is not None and index != self.wanted:
            return np.zeros((0, 0), np.uint8)
        self.classes[index] = classes
        return super().painted(index, classes, known)


@dataclass(frozen=True)
class Evidence:
    """What `adaptive` weighs on a frame, of k pixels where base model and window vote differ."""

    frame: FrameEvidence
    score: NDArray[np.floating]  # (k,) in nats, steady in time
    margin: float = MARGIN  # above it the base model keeps its label

    def at(self, place: int) -> dict[str, float] | None:
        """The parts of a pixel's score and, last, the score; None where nothing is disputed."""
        found = np.flatnonzero(self.frame.places == place)
        if not len(found):
            return None
        columns = self.frame.columns
        parts = {
            name: float(weight * columns[name][found[0]])
            for name, weight in WEIGHTS.items()
            if name in columns
        }
        return {**parts, "steady in time": float(self.score[found[0]])}


def weighed(window: Window) -> list[Evidence]:
    """What `adaptive` weighs on each frame of a window."""
    frames = gather(window, WEIGHTS).frames
    scores = steady(frames, [score_of(WEIGHTS)(frame) for frame in frames])
    return [*map(Evidence, frames, scores)]
