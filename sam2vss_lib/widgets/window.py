"""A window of masklets whose masks and votes are kept, so that choosing among them is quick."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.refinement.window import Window
from sam2vss_lib.widgets.cache import MIB, Bounded


def _tensor_bytes(values: Tensor) -> int:
    return values.numel() * values.element_size()


def _array_bytes(values: NDArray[Any]) -> int:
    return values.nbytes


@dataclass
class FrameMemory:
    """What was read and counted of the frames that were shown last, within bounds."""

    masks: Bounded[Tensor] = field(default_factory=lambda: Bounded(256 * MIB, _tensor_bytes))
    votes: Bounded[Tensor] = field(default_factory=lambda: Bounded(32 * MIB, _tensor_bytes))
    labels: Bounded[Labels] = field(default_factory=lambda: Bounded(64 * MIB, _array_bytes))


@dataclass
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
        self.classes: dict[int, Tensor] = {}  # (n,) uint8 of painted frames

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """See `Window.read`."""
        return self._labels(index), self._masks(index)[torch.from_numpy(self.chosen)]

    def votes(self, index: int) -> Tensor:
        """See `Window.votes`; those of all stored masklets are counted once."""
        counted = self.memory.votes.get(
            (*self.key, self.base, self.stored[index].frame),
            lambda: count_votes(
                self._masks(index), self._labels(index), self.predictions.num_classes
            ).int(),
        )
        return counted[torch.from_numpy(self.chosen)].long()

    def painted(self, index: int, classes: Tensor) -> Tensor:
        """See `Window.painted`; nothing where it is not wanted."""
        if self.wanted is not None and index != self.wanted:
            return torch.empty(0)
        self.classes[index] = classes
        return super().painted(index, classes)

    def _masks(self, index: int) -> Tensor:
        part = self.stored[index]
        return self.memory.masks.get(
            (*self.key, part.frame), lambda: torch.from_numpy(part.masks())
        )

    def _labels(self, index: int) -> Tensor:
        frame = self.stored[index].frame
        return torch.from_numpy(
            self.memory.labels.get(
                (self.clip.name, self.base, frame), lambda: self.predictions.read(self.clip, frame)
            )
        )
