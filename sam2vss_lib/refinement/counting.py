"""Votes of masklets, counted in pixels (Eq. 2)."""

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.masklets.runs import Runs


def count_votes(runs: Runs, prediction: Labels, num_classes: int) -> NDArray[np.int64]:
    """Pixels of each class under each mask, (n, C); void pixels do not vote (Eq. 2).

    The prediction is (H, W) uint8, classes 0..C-1 and void 255. Neither masks nor pixels are gone
    through: of any place it is known how often each class occurs before it, from the runs of equal
    labels.
    """
    votes = np.zeros((len(runs.counts), num_classes), np.int64)
    column = prediction.T.ravel()
    firsts = np.concatenate([[0], np.flatnonzero(column[1:] != column[:-1]) + 1])
    labels, lengths = column[firsts], np.diff(firsts, append=len(column))
    places = np.concatenate([runs.starts, runs.stops])
    around = np.searchsorted(firsts, places, "right") - 1
    inside, owner = places - firsts[around], np.repeat(np.arange(len(votes)), runs.counts)
    for label in np.flatnonzero(np.bincount(labels, minlength=VOID + 1)[:num_classes]).tolist():
        own = np.where(labels == label, lengths, 0)
        before = (np.cumsum(own) - own)[around] + np.where(labels == label, 1, 0)[around] * inside
        started, stopped = np.split(before, 2)
        votes[:, label] = np.bincount(owner, stopped - started, minlength=len(votes))
    return votes


def winning_classes(votes: NDArray[np.int64]) -> Labels:
    """Most frequent class of each mask, (n,) uint8, the lowest index among equals.

    Votes are (n, C); a mask without any vote gets 255.
    """
    return np.where(votes.any(1), votes.argmax(1), VOID).astype(np.uint8)  # argmax: the first
