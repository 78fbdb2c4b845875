"""The window vote: a masklet has one class, the most frequent one under it in its whole window."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sam2vss_lib.refinement.counting import winning_classes
from sam2vss_lib.refinement.window import Window


def window_vote(window: Window) -> Iterator[Tensor]:
    """Refined labels, (H, W) uint8, frame by frame.

    Every frame is read twice, so that memory does not grow with the window.
    """
    frames = range(len(window))
    classes = winning_classes(torch.stack([window.votes(index) for index in frames]).sum(0))
    for index in frames:
        yield window.painted(index, classes)
