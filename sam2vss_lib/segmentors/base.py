"""What every base model offers to the stages: labels and probabilities of a clip's frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.settings import InferenceOptions

_LISTED = 4  # labels in a message


@dataclass(frozen=True)
class Prediction:
    """A segmentor's output for one frame or, with a first axis more, several; on its device."""

    # (H, W) uint8, classes 0..C-1 at the size of the frame; 255 where the model has no class for it
    labels: Tensor
    # (C, h, w) float16 at a resolution of the network's own, or None if not wanted
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
    #: hashes of what else the predictions follow from, by their names in the record
    made_with: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Labels of the model that are void though nobody said so: none of them is a class."""
        return ()

    def for_classes(self, names: Sequence[str] | None, class_map: str | None = None) -> Self:
        """The model with the classes of a data set, to which its own labels are mapped.

        Args:
            names: the data set's class names, label 0 first; None where there is no class list.
            class_map: a file that maps labels, or the name of one in `data_manifests/`.

        Raises:
            SettingsError: there is a map, and the model is trained on the data set's own classes.
        """
        if class_map is not None:
            raise SettingsError(f"--classes {class_map}: is for hf: models, not {self.name}")
        return self

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


def unmapped_warning(segmentor: Segmentor) -> str:
    """One line about labels without a class."""
    labels = segmentor.unmapped
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return (
        f"void are its labels {', '.join(map(repr, labels[:_LISTED]))}{more}, which are no classes "
        "of the data set; `sam2vss predictions classes` says how many pixels they have"
    )


def batches(
    frames: Iterable[NDArray[np.uint8]], batch_frames: int
) -> Iterator[list[NDArray[np.uint8]]]:
    """Consecutive frames in lists of `batch_frames`; the last may be shorter."""
    iterator = iter(frames)
    while batch := list(islice(iterator, batch_frames)):
        yield batch
