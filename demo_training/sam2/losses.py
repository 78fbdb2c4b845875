"""The mask losses of every training stage, per mask so that a stage can weight them."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: logits are divided by this before the losses, so that trained logits are that much steeper:
#: the generator's stability offset (0.9) is a distance in logits, chosen for official models
TEMPERATURE = 2.0


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Twice the binary cross entropy plus the dice loss of each mask.

    Args:
        logits: (..., h, w) float32.
        target: (..., h, w) float32 in 0..1, broadcastable to `logits`.

    Returns:
        (...) float32.
    """
    logits, target = logits / TEMPERATURE, target.expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((-1, -2))
    p = logits.sigmoid()
    overlap, total = (p * target).sum((-1, -2)), p.sum((-1, -2)) + target.sum((-1, -2))
    return 2 * entropy + 1 - (2 * overlap + 1) / (total + 1)


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of thresholded logits with thresholded targets; shapes as in `mask_loss`."""
    predicted, actual = logits > 0, (target > 0.5).expand_as(logits)
    union = (predicted | actual).sum((-1, -2)).clamp(min=1)
    return (predicted & actual).sum((-1, -2)) / union
