"""The window vote: a masklet has one class, the most frequent one under it in its whole window."""

from collections.abc import Iterator

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.refinement.counting import winning_classes
from sam2vss_lib.refinement.window import Window


def window_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame.

    Frames of long windows are read twice, so that memory does not grow with the window.
    """
    classes = winning_classes(window.all_votes)
    for index in range(len(window)):
        yield window.painted(index, classes)
