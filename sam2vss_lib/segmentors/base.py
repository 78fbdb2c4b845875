"""What every base model offers to the stages: labels, and probabilities, for a batch of frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """A segmentor's output for a batch of frames, on the segmentor's device.

    Attributes:
        labels: (B, H, W) uint8, classes 0..C-1 at the size of the frames.
        probabilities: (B, C, h, w) float16 at the network's own resolution, or None if not wanted.
    """

    labels: Tensor
    probabilities: Tensor | None = None


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

    def predict(self, frames: Tensor, *, with_probabilities: bool = False) -> Prediction:
        """Segment a batch of frames.

        Args:
            frames: (B, H, W, 3) uint8 RGB, on any device.
            with_probabilities: whether probabilities are wanted besides the labels.
        """
        ...
