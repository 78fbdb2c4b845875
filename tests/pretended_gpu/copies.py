"""Copies to the host that are under way: the numbers are there once somebody has waited for them.

Whoever reads earlier reads garbage here, and races on a card.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tests.pretended_gpu.stops import Stops

STOPS = Stops()  # of all tensors


class _Copy(NamedTuple):
    host: Tensor
    values: Tensor


_under_way: list[_Copy] = []


def begin(values: Tensor) -> Tensor:
    """The host's tensor, which will have these values."""
    with torch.inference_mode(False):
        wrong: Any = math.nan if values.is_floating_point() else 85
        host = torch.full(values.shape, wrong, dtype=values.dtype)
    _under_way.append(_Copy(host, values.clone()))
    return host


def arrive(copies: list[_Copy] | None = None) -> None:
    """Copies that were waited for, all by default."""
    for copy in [*(_under_way if copies is None else copies)]:
        with torch.inference_mode():
            copy.host.copy_(copy.values)
        _under_way[:] = [other for other in _under_way if other is not copy]


class Event:
    """A `torch.cuda.Event`."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._before: list[_Copy] = []

    def record(self, stream: Any = None) -> None:
        """Whoever waits for this waits for what was begun before."""
        self._before = [*_under_way]

    def synchronize(self) -> None:
        """Wait."""
        STOPS.add("read", "torch.cuda.Event.synchronize")
        arrive(self._before)


def synchronize(device: Any = None) -> None:
    """`torch.cuda.synchronize`."""
    STOPS.add("read", "torch.cuda.synchronize")
    arrive()
