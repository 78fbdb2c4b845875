"""One window of a clip as vote rules see it: base predictions, masklets, and a brush."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.refinement.painting import paint_frame
from sam2vss_lib.refinement.settings import Overlap

if TYPE_CHECKING:
    import torch


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
    device: "str | torch.device" = "cpu"  # where to compute

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._index, self._read = -1, np.zeros((0, 0), np.uint8)

    def __len__(self) -> int:
        """Frames of the window."""
        return len(self.parts)

    def labels(self, index: int) -> Labels:
        """The base model's labels of a frame, (H, W) uint8; the last ones are kept."""
        if index != self._index:
            read = self.predictions.read(self.clip, self.parts[index].frame)
            self._index, self._read = index, read
        return self._read

    def votes(self, index: int) -> NDArray[np.int64]:
        """Pixels of each class under each masklet on a frame, (n, C) (Eq. 2)."""
        runs = self.parts[index].runs()
        return count_votes(runs, self.labels(index), self.predictions.num_classes)

    def painted(self, index: int, classes: Labels) -> Labels:
        """A frame's labels, (H, W) uint8, with every masklet in its class (Eq. 1).

        Classes are (n,) uint8; masklets of class 255 paint nothing.
        """
        return paint_frame(self.labels(index), self.parts[index], classes, self.overlap)
