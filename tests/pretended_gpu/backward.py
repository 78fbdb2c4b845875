"""Backpropagation node by node: PyTorch's own engine asks the card for its streams."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor


def backward(loss: Tensor) -> None:
    """Add the gradients of a loss, a single number, to its parameters' `grad`."""
    waiting: dict[Any, dict[int, Tensor]] = defaultdict(dict)
    waiting[loss.grad_fn][loss.output_nr] = torch.ones_like(loss)
    with torch.no_grad():
        for node in _in_order(loss.grad_fn):
            given = waiting.pop(node, {})
            if node.name().endswith("AccumulateGrad"):
                leaf, grad = node.variable, given[0]
                leaf.grad = grad.clone() if leaf.grad is None else leaf.grad + grad
                continue
            count = 1 + max(given, default=0)
            grads = node(*(given.get(index) for index in range(count)))
            grads = grads if isinstance(grads, tuple) else (grads,)
            for (after, index), grad in zip(node.next_functions, grads, strict=True):
                if after is not None and grad is not None:
                    own, wanted = waiting[after], after._input_metadata[index]
                    grad = grad.sum_to_size(wanted.shape).to(wanted.dtype)
                    own[index] = own[index] + grad if index in own else grad


def _in_order(first: Any) -> list[Any]:
    """The nodes of a graph, each before those that it hands gradients to."""
    done, found, stack = set[Any](), list[Any](), [(first, False)]
    while stack:
        node, left = stack.pop()
        if left:
            found.append(node)
        elif node is not None and node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(after, False) for after, _ in node.next_functions]
    return found[::-1]
