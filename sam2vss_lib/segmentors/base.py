"""What every base model offers to the stages: labels and probabilities of a clip's frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.segmentors.mit import least_side_px
from sam2vss_lib.segmentors.pixels import InputSize, network_input
from sam2vss_lib.segmentors.settings import InferenceOptions


@dataclass(frozen=True)
class Prediction:
    """A segmentor's output for one frame or, with a first axis more, several; on its device."""

    labels: Tensor  # (H, W) uint8, classes 0..C-1 at the size of the frame
    # (C, h, w) float16 at the network's own resolution, or None if not wanted
    probabilities: Tensor | None = None

    def frames(self) -> Iterator[Prediction]:
        """The frames of several, one by one."""
        for i, labels in enumerate(self.labels):
            yield Prediction(labels, None if self.probabilities is None else self.probabilities[i])


@dataclass(frozen=True)
class Segmentor(ABC):
    """A base model ready to use."""

    name: str  # name in the registry
    network: Any  # in evaluation mode, float32
    num_classes: int  # C
    checkpoint_sha256: str  # hash of the weights file
    device: torch.device  # where the network is
    options: InferenceOptions  # how it is run
    input_size: InputSize  # to which size frames are brought

    def network_input(self, frames: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB frames, on any device, as the network reads them."""
        least = least_side_px(self.network.config)
        return network_input(frames.to(self.device), self.input_size, least)

    @abstractmethod
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


def batches(
    frames: Iterable[NDArray[np.uint8]], batch_frames: int
) -> Iterator[list[NDArray[np.uint8]]]:
    """Consecutive frames in lists of `batch_frames`; the last may be shorter."""
    iterator = iter(frames)
    while batch := list(islice(iterator, batch_frames)):
        yield batch
