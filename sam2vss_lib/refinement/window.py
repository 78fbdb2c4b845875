"""One window of a clip as vote rules see it: base predictions, masklets, and a brush."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.refinement.painting import paint_frame
from sam2vss_lib.refinement.settings import Overlap


@dataclass
class Window:
    """The masklets of a window and what a base model predicted on its frames."""

    clip: Clip
    predictions: PredictionFolder  # of the base model
    parts: Sequence[FrameMasklets]  # frame by frame; the same n masklets in one order on each
    overlap: Overlap
    device: torch.device  # where to compute

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._index, self._read = -1, (torch.empty(0), torch.empty(0))

    def __len__(self) -> int:
        """Frames of the window."""
        return len(self.parts)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Labels, (H, W) uint8, and masks, (n, H, W) bool, of a frame; the last one is kept."""
        if index != self._index:
            part = self.parts[index]
            labels = torch.from_numpy(self.predictions.read(self.clip, part.frame))
            masks = torch.from_numpy(part.masks())
            self._index, self._read = index, (labels.to(self.device), masks.to(self.device))
        return self._read

    def votes(self, index: int) -> Tensor:
        """Pixels of each class under each masklet on a frame, (n, C) int64 (Eq. 2)."""
        labels, masks = self.read(index)
        return count_votes(masks, labels, self.predictions.num_classes)

    def painted(self, index: int, classes: Tensor) -> Tensor:
        """A frame's labels (H, W) uint8 with every masklet in its class (Eq. 1).

        Classes are (n,) uint8; masklets of class 255 paint nothing.
        """
        labels, masks = self.read(index)
        return paint_frame(labels, self.parts[index], classes, self.overlap, masks)
