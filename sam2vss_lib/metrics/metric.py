"""What a metric is to the suite: counts of a frame, additive sums of a clip, values of sums."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.protocol import MetricSettings

Floats = NDArray[np.float64]
Numbers = NDArray[Any]
Sums = dict[str, Numbers]
AnySums = Mapping[str, Numbers]


class Metric(ABC):
    """One or more metrics made of the same counts; an object counts one clip.

    Attributes:
        headline: definition behind each metric.
        definitions: every definition in one sentence; changing one needs another protocol id.
        settings: what is counted.
    """

    headline: ClassVar[dict[str, str]]
    definitions: ClassVar[dict[str, str]]

    def __init__(self, settings: MetricSettings) -> None:
        self.settings = settings

    @classmethod
    def headline_of(cls, settings: MetricSettings) -> dict[str, str]:
        """Metric -> its definition under "variants" in the results, in the order of tables."""
        return dict(cls.headline)

    @classmethod
    @abstractmethod
    def zeros(cls, settings: MetricSettings) -> Sums:
        """Zeros of every additive sum's shape and dtype: (C,) or () int64, () float64."""

    @classmethod
    @abstractmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        """Values of sums, named as `zeros`: one set of them, or a batch, each (..., C) or (...).

        Returns:
            metric -> definition -> (...) float64 in 0..1, NaN where it cannot be computed.
        """

    @classmethod
    @abstractmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int) -> dict[str, str]:
        """Why each metric would have no value in clips of at most so many annotated frames."""

    @abstractmethod
    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """Count the clip's next frame: (H, W) uint8, classes 0..C-1 or 255 (unlabelled, void).

        Returns:
            (k, C) int64 on the maps' device; those of all metrics reach the host in one piece.
        """

    @abstractmethod
    def add(self, counts: NDArray[np.int64]) -> None:
        """Take in what `count` gave, (k, C)."""

    def skip(self) -> None:  # noqa: B027 - most metrics need not know
        """Take in that the clip's next frame has no ground truth; by default it is as if absent."""

    @abstractmethod
    def sums(self) -> Sums:
        """The clip's sums, named as `zeros`, once all its frames have been counted."""
