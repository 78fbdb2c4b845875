"""The frame vote: a masklet's class is the most frequent one under it on that frame (Eq. 2)."""

from collections.abc import Iterator

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.refinement.counting import winning_classes
from sam2vss_lib.refinement.window import Window


def frame_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame."""
    for index in range(len(window)):
        yield window.painted(index, winning_classes(window.votes(index)))
