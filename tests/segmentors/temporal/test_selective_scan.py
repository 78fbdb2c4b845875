"""The scan: against single steps, across cuts, backwards, and by somebody else's kernel."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from sam2vss_lib.segmentors.temporal import selective_scan as module
from sam2vss_lib.segmentors.temporal.selective_scan import (
    final_state,
    selective_scan,
    stretch_tokens,
)
from sam2vss_lib.segmentors.temporal.state_space import Mixer


def inputs(n: int = 2, length: int = 11, d: int = 3, s: int = 4) -> Any:
    """x, dt, a, b, c, d and a state to begin with."""
    generator = torch.Generator().manual_seed(length)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    x, dt = random(n, length, d), random(n, length, d).exp()
    a, b, c = -random(d, s).exp(), random(n, length, s), random(n, length, s)
    return [x, dt, a, b, c, random(d), random(n, d, s)]


def step_by_step(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The equations, a number at a time."""
    y = torch.zeros_like(x)
    end = torch.zeros(x.shape[0], *a.shape) if state is None else state.clone()
    for n in range(x.shape[0]):
        for t in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(a.shape[1]):
                    h = torch.exp(dt[n, t, i] * a[i, j]) * end[n, i, j]
                    end[n, i, j] = h + dt[n, t, i] * b[n, t, j] * x[n, t, i]
                    y[n, t, i] += c[n, t, j] * end[n, i, j]
                y[n, t, i] += d[i] * x[n, t, i]
    return y, end


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("chunk_numbers", [1, 80, 10**6])
def test_equals_single_steps(
    with_state: bool, chunk_numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._CHUNK_NUMBERS, "cpu", chunk_numbers)
    *arguments, state = inputs()
    start = state if with_state else None
    for found, wanted in zip(
        selective_scan(*arguments, state=start),
        step_by_step(*arguments, state=start),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("with_state", [False, True])
def test_final_state_is_that_of_single_steps(
    with_state: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._CHUNK_NUMBERS, "cpu", 80)
    *arguments, state = inputs()
    start = state if with_state else None
    _, wanted = step_by_step(*arguments, state=start)
    found = final_state(*arguments[:4], state=start)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_stretch_is_cut_to_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setitem(module._CHUNK_NUMBERS, "cpu", 80)
    assert [stretch_tokens(numbers, cpu) for numbers in (1, 39, 80, 81)] == [80, 2, 1, 1]


def test_a_cut_scan_is_the_whole_one() -> None:
    x, dt, a, b, c, d, _ = inputs(length=12)
    whole, end = selective_scan(x, dt, a, b, c, d)
    first, middle = selective_scan(x[:, :5], dt[:, :5], a, b[:, :5], c[:, :5], d)
    second, last = selective_scan(x[:, 5:], dt[:, 5:], a, b[:, 5:], c[:, 5:], d, middle)
    torch.testing.assert_close(torch.cat((first, second), 1), whole)
    torch.testing.assert_close(last, end)


def test_gradients_are_those_of_small_differences() -> None:
    values = [torch.rand(5, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    start = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module._Recurrence.apply, (*values, start))


def test_mixer_equals_that_of_transformers() -> None:
    theirs = MambaMixer(MambaConfig(hidden_size=24, num_hidden_layers=1), 0)
    ours = Mixer(24)
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, 30, 24)
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens, None)[0], theirs(tokens), rtol=0, atol=1e-5)
