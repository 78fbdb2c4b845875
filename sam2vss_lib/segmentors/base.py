"""What every base model offers to the stages: labels and probabilities of a clip's frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.segmentors.settings import InferenceOptions


@dataclass(frozen=True)
class Prediction:
    """A segmentor's output for one frame or, with a first axis more, several; on its device.

    Attributes:
        labels: (H, W) uint8, classes 0..C-1 at the size of the frame.
        probabilities: (C, h, w) float16 at the network's own resolution, or None if not wanted.
    """

    labels: Tensor
    probabilities: Tensor | None = None

    def frames(self) -> Iterator[Prediction]:
        """The frames of several, one by one."""
        for i, labels in enumerate(self.labels):
            yield Prediction(labels, None if self.probabilities is None else self.probabilities[i])


class Segmentor(Protocol):
    """A base model ready to use; C is its number of classes."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the weights file."""
        ...

    @property
    def num_classes(self) -> int:
        """C."""
        ...

    @property
    def options(self) -> InferenceOptions:
        """How it is run."""
        ...

    def predict_clip(
        self, frames: Iterable[NDArray[np.uint8]], *, with_probabilities: bool = False
    ) -> Iterator[Prediction]:
        """Segment the frames of a clip.

        Args:
            frames: (H, W, 3) uint8 RGB each, all of one size, from the clip's first on, in order.
            with_probabilities: whether probabilities are wanted besides the labels.

        Yields:
            One prediction a frame, in order. A few frames are read ahead, and a few are kept: the
            memory needed does not grow with the clip.

        Raises:
            SettingsError: a frame has another shape or dtype.
        """
        ...


def batches(
    frames: Iterable[NDArray[np.uint8]], batch_frames: int
) -> Iterator[list[NDArray[np.uint8]]]:
    """Consecutive frames in lists of `batch_frames`; the last may be shorter."""
    iterator = iter(frames)
    while batch := list(islice(iterator, batch_frames)):
        yield batch
