"""The ensemble vote: the predictions of several base models vote together; the first is painted."""

from collections.abc import Iterator
from dataclasses import replace

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.refinement.counting import winning_classes
from sam2vss_lib.refinement.window import Window


def ensemble_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame."""
    votes = sum(
        (replace(window, predictions=other).all_votes for other in window.others), window.all_votes
    )
    classes = winning_classes(votes)
    for index in range(len(window)):
        yield window.painted(index, classes)
