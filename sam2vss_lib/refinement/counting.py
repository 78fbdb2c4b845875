"""Votes of masklets, counted in pixels (Eq. 2)."""

import torch
from torch import Tensor

from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.metrics.iou import class_counts


def count_votes(masks: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class under each mask, (n, C) int64; void pixels do not vote (Eq. 2).

    Masks are (n, H, W) bool, the prediction is (H, W) uint8, classes 0..C-1 and void 255.
    """
    votes = prediction.new_zeros((len(masks), num_classes), dtype=torch.int64)
    for mask, counts in zip(masks, votes, strict=True):
        counts.copy_(class_counts(prediction, mask, num_classes))
    return votes


def winning_classes(votes: Tensor) -> Tensor:
    """Most frequent class of each mask, (n,) uint8, the lowest index among equals.

    Votes are (n, C) int64; a mask without any vote gets 255.
    """
    num_classes = votes.shape[1]
    # one key per class, since argmax promises nothing about ties
    tie_break = torch.arange(num_classes - 1, -1, -1, device=votes.device)
    winner = (votes * num_classes + tie_break).max(1).indices
    return torch.where(votes.sum(1) > 0, winner, VOID).to(torch.uint8)
