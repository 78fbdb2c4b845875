"""The selective scan of Mamba in plain torch.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 3: a linear
recurrence of S numbers per channel, whose step depends on the token. Here a scan may begin with the
state that another one ended with.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

#: numbers in each of the few tensors that a stretch of tokens needs at a time: on a CPU they should
#: stay in its cache (2 MiB each), on a GPU they should be many
_CHUNK_NUMBERS = {"cpu": 2**19, "cuda": 2**26}


def selective_scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scan sequences: h_t = exp(dt_t a) h_{t-1} + dt_t b_t x_t and y_t = c_t h_t + d x_t.

    Args:
        x: (N, L, D) tokens.
        dt: (N, L, D) positive steps.
        a: (D, S), negative.
        b: (N, L, S).
        c: (N, L, S).
        d: (D,).
        state: (N, D, S), h_0; zeros if None.

    Returns:
        y (N, L, D) and h_L (N, D, S), float32.
    """
    x, dt, a, b, c, d = (tensor.float() for tensor in (x, dt, a, b, c, d))
    ys, end = list[Tensor](), _first(state, x, a)
    reads = c.permute(1, 2, 0)[..., None]  # (L, S, N, 1)
    with torch.autocast(x.device.type, enabled=False):
        for states in _states(x, dt, a, b, end):
            stretch, reads = reads.split((len(states), len(reads) - len(states)))
            # A sum of S products, as multiplying such small matrices is several times slower.
            y = stretch[:, 0] * states[:, 0]
            for s in range(1, states.shape[1]):
                y = y.addcmul_(stretch[:, s], states[:, s])
            ys.append(y)
            end = states[-1]
        return torch.cat(ys).transpose(0, 1) + d * x, _last(end)


def final_state(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, state: Tensor | None = None) -> Tensor:
    """The state (N, D, S) that `selective_scan` ends with, float32, for less than the scan costs.

    Arguments are as there.
    """
    x, dt, a, b = (tensor.float() for tensor in (x, dt, a, b))
    with torch.autocast(x.device.type, enabled=False):
        end = _first(state, x, a)
        for states in _states(x, dt, a, b, end):
            end = states[-1]
        return _last(end)


def _states(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, state: Tensor) -> Iterator[Tensor]:
    """The states of consecutive stretches of l tokens, (l, S, N, D) each, after `state` (S, N, D).

    Time is first, so that a step's numbers lie together, and channels are last: they are many, and
    broadcasting along a last axis of only S numbers is slow.
    """
    a = a.t()[:, None]  # (S, 1, D)
    tokens = stretch_tokens(state.numel(), state.device)
    parts = (tensor.transpose(0, 1).split(tokens) for tensor in (x, dt, b))
    for x_, dt_, b_ in zip(*parts, strict=True):  # (l, N, D or S) each
        decay = (dt_[:, None] * a).exp_()
        drive = (dt_ * x_)[:, None] * b_.transpose(1, 2)[..., None]
        states = _recurrence(decay, drive, state)
        yield states
        state = states[-1]


def _first(state: Tensor | None, x: Tensor, a: Tensor) -> Tensor:
    """The state (S, N, D) to begin with, from one (N, D, S)."""
    count, _, dim = x.shape
    return x.new_zeros(a.shape[1], count, dim) if state is None else state.permute(2, 0, 1)


def _last(state: Tensor) -> Tensor:
    """A state (N, D, S) from one (S, N, D), without keeping a stretch of states alive."""
    return state.clone().permute(1, 2, 0)


def stretch_tokens(state_numbers: int, device: torch.device) -> int:
    """How many tokens to scan at a time, at least 1, so that numbers on the way stay in the cache.

    For each token a state holds N * D * S numbers.
    """
    return max(1, _CHUNK_NUMBERS.get(device.type, 2**19) // state_numbers)


class _Recurrence(torch.autograd.Function):
    """All of h_t = decay_t h_{t-1} + drive_t, one fused multiply and add a step."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor, start: Tensor) -> Tensor:
        states = torch.empty_like(drive)
        before = start
        for factor, push, after in zip(*map(torch.unbind, (decay, drive, states)), strict=True):
            torch.addcmul(push, factor, before, out=after)
            before = after
        ctx.save_for_backward(decay, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        decay, states, start = ctx.saved_tensors
        # The gradient obeys the same recurrence, backwards in time.
        carried = grad.clone(memory_format=torch.contiguous_format)
        for t in range(len(carried) - 2, -1, -1):
            carried[t].addcmul_(decay[t + 1], carried[t + 1])
        before = torch.cat((start[None], states[:-1]))
        return carried * before, carried, decay[0] * carried[0]


def _recurrence(decay: Tensor, drive: Tensor, start: Tensor) -> Tensor:
    return torch.Tensor(_Recurrence.apply(decay, drive, start))
