"""Masklets painted in their classes, and which of them is on top where they overlap (Eq. 1)."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.settings import Overlap


def paint(prediction: Tensor, masks: Tensor, classes: Tensor, priority: Tensor) -> Tensor:
    """Give every mask its class, and pixels under several masks that of highest priority (Eq. 1).

    The prediction, (H, W) uint8 as the result, is kept outside the masks, (n, H, W) bool. Masks of
    class 255, (n,) uint8, paint nothing; of equal priority, (n,) numbers, the later mask wins.
    """
    painted, of_mask = prediction.clone(), classes.tolist()
    for index in priority.argsort(stable=True).tolist():
        if of_mask[index] != VOID:
            painted.masked_fill_(masks[index], of_mask[index])
    return painted


def paint_frame(
    labels: Tensor,
    part: FrameMasklets,
    classes: Tensor,
    overlap: Overlap,
    masks: Tensor | None = None,
) -> Tensor:
    """Paint the masklets of one frame in their classes (Eq. 1).

    Labels, classes and the result are as for `paint`, on the device of `labels`. `masks` are the
    frame's, (n, H, W) bool, where the caller has them already.
    """
    if overlap == "logit":
        masks = torch.from_numpy(part.masks("rle_visible")).to(labels.device)
    elif masks is None:
        masks = torch.from_numpy(part.masks()).to(labels.device)
    priority = torch.from_numpy(painting_order(part, overlap)).to(labels.device)
    return paint(labels, masks, classes, priority)


def painting_order(part: FrameMasklets, overlap: Overlap) -> NDArray[Any]:
    """Priority of each masklet, (n,): higher is on top; visible parts are disjoint anyway."""
    if overlap in ("predicted_iou", "stability"):
        return part.values(overlap)
    return -part.values("area")
