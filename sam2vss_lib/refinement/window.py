"""One window of a clip as vote rules see it: base predictions, masklets, and a brush."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.refinement.painting import paint_frame
from sam2vss_lib.refinement.settings import FusionSettings, Overlap
from sam2vss_lib.refinement.trust import Trust
from sam2vss_lib.validation import resolve_device

_KEPT_PX = 2**24  # of labels that are kept, so that most windows are read once


class Changes(NamedTuple):
    """What painting changes in the labels of a frame."""

    places: NDArray[np.intp]  # (c,) in row-major order
    labels: Labels  # (c,)


@dataclass
class Window:
    """The masklets of a window and what a base model predicted on its frames.

    Counting votes and painting go through runs of pixels, which no device does sooner than a CPU
    decodes masks; `device` is for rules that look at pixels themselves.
    """

    clip: Clip
    predictions: PredictionFolder  # of the base model
    parts: Sequence[FrameMasklets]  # frame by frame; the same n masklets in one order on each
    overlap: Overlap
    wanted_device: str = "auto"  # as users name it
    others: Sequence[PredictionFolder] = ()  # of other base models, for rules that ask several
    fusion: FusionSettings = field(default_factory=FusionSettings)  # for rules that weigh evidence
    trust: Trust = field(default_factory=Trust)  # of the clip: such rules count in it

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._read: dict[int, Labels] = {}

    def __len__(self) -> int:
        """Frames of the window."""
        return len(self.parts)

    @cached_property
    def device(self) -> str:
        """Where a rule that computes on pixels is to do so, as torch names it."""
        return resolve_device(self.wanted_device)

    def labels(self, index: int) -> Labels:
        """The base model's labels of a frame, (H, W) uint8; those of some frames are kept."""
        if index not in self._read:
            labels = self.predictions.read(self.clip, self.parts[index].frame)
            if len(self._read) >= max(_KEPT_PX // labels.size, 5):  # rules look at frames around
                del self._read[next(iter(self._read))]
            self._read[index] = labels
        return self._read[index]

    def probabilities(self, index: int) -> NDArray[np.float16] | None:
        """The base model's class probabilities of a frame, (C, h, w), where there are some."""
        return self.predictions.read_probabilities(self.clip, self.parts[index].frame)

    def votes(self, index: int) -> NDArray[np.int64]:
        """Pixels of each class under each masklet on a frame, (n, C) (Eq. 2)."""
        runs = self.parts[index].runs()
        return count_votes(runs, self.labels(index), self.predictions.num_classes)

    @cached_property
    def all_votes(self) -> NDArray[np.int64]:
        """Pixels of each class under each masklet on all frames of the window, (n, C)."""
        return sum((self.votes(index) for index in range(1, len(self))), self.votes(0))

    def painted(self, index: int, classes: Labels, known: Changes | None = None) -> Labels:
        """A frame's labels, (H, W) uint8, with every masklet in its class (Eq. 1).

        Classes are (n,) uint8; masklets of class 255 paint nothing. A rule that knows already what
        painting changes says it.
        """
        if known is None:
            return paint_frame(self.labels(index), self.parts[index], classes, self.overlap)
        labels = self.labels(index).copy()
        np.put(labels, known.places, known.labels)
        return labels
