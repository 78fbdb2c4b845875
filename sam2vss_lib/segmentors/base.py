"""What every base model offers to the stages: labels and probabilities of a clip's frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor


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


class InferenceOptions(BaseModel, frozen=True, extra="forbid", strict=True):
    """How a base model is run; only the first two change what comes out."""

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="autocast type"
    )
    tv3s_mode: Literal[0, 1, 2] = Field(
        default=0, description="TV3S: 0 reads references, 1 one frame, 2 carries its state along"
    )
    batch_frames: int = Field(default=4, ge=1, description="frames in the network at a time")
    cache_references: bool = Field(
        default=True, description="keep the features of frames that later ones refer to"
    )

    def identity(self) -> dict[str, Any]:
        """What outputs record of the options; JSON-able."""
        return self.model_dump(mode="json", include={"precision", "tv3s_mode"})

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context that networks run in."""
        reduced = self.precision == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=reduced)


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
