"""The visible parts of masklets: who has the largest logit at a pixel."""

import torch
from torch import Tensor


def visible_parts(logits: Tensor) -> Tensor:
    """Disjoint masks by largest logit, (n, H, W) bool, n > 0.

    They are true where a masklet's logit is positive and the largest; ties go to the first.
    """
    best = logits.amax(0)
    # argmax promises nothing about ties, and prompts' logits are mostly equal on their own frame
    index = torch.arange(len(logits), dtype=torch.int32, device=logits.device)[:, None, None]
    first = torch.where(logits == best, index, len(logits)).amin(0)
    return (index == first) & (best > 0)
