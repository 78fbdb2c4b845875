"""The scan: against single steps, across cuts, backwards, and by somebody else's kernel."""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from sam2vss_lib.segmentors.temporal import selective_scan as module
from sam2vss_lib.segmentors.temporal.selective_scan import (
    final_state,
    find_kernel,
    scan_with_kernel,
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


@pytest.mark.parametrize("with_kernel", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_final_state_is_that_of_single_steps(
    with_state: bool, with_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._CHUNK_NUMBERS, "cpu", 80)
    monkeypatch.setattr(module, "find_kernel", lambda _device: fake_kernel if with_kernel else None)
    *arguments, state = inputs()
    start = state if with_state else None
    _, wanted = step_by_step(*arguments, state=start)
    found = final_state(*arguments[:4], state=start)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_stretch_is_cut_to_the_cache_but_never_for_a_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setitem(module._CHUNK_NUMBERS, "cpu", 80)
    assert [stretch_tokens(numbers, cpu) for numbers in (1, 39, 80, 81)] == [80, 2, 1, 1]
    monkeypatch.setattr(module, "find_kernel", lambda _device: fake_kernel)
    assert stretch_tokens(81, cpu) > 10**9


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


def fake_kernel(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Any:
    """With the signature and the shapes of `mamba_ssm`'s."""
    assert D is not None
    assert all(tensor.is_contiguous() for tensor in (u, delta, A, B, C, D))
    ordered = [tensor.transpose(1, 2) for tensor in (u, delta, B, C)]
    y, end = step_by_step(ordered[0], ordered[1], A, ordered[2], ordered[3], D, None)
    return (y.transpose(1, 2), end) if return_last_state else y.transpose(1, 2)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("chunk_numbers", [80, 10**6])
def test_kernel_gives_the_same_from_any_state(
    with_state: bool, chunk_numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._CHUNK_NUMBERS, "cpu", chunk_numbers)
    *arguments, state = inputs()
    start = state if with_state else None
    for found, wanted in zip(
        scan_with_kernel(fake_kernel, *arguments, state=start),
        step_by_step(*arguments, state=start),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_kernel_is_found_on_a_gpu_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find_kernel.cache_clear()
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    name = "mamba_ssm.ops.selective_scan_interface"
    monkeypatch.setitem(sys.modules, name, None)  # import fails
    assert find_kernel(torch.device("cuda")) is None
    find_kernel.cache_clear()
    interface: Any = ModuleType(name)
    interface.selective_scan_fn = fake_kernel
    monkeypatch.setitem(sys.modules, name, interface)
    assert find_kernel(torch.device("cuda")) is fake_kernel
    assert find_kernel(torch.device("cpu")) is None
    find_kernel.cache_clear()


def test_scan_takes_the_kernel_that_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[int]()

    def counting(*arguments: Any, **keywords: Any) -> Any:
        calls.append(1)
        return fake_kernel(*arguments, **keywords)

    *arguments, state = inputs()
    monkeypatch.setattr(module, "find_kernel", lambda _device: counting)
    found, _ = selective_scan(*arguments, state=state)
    assert calls
    torch.testing.assert_close(
        found, step_by_step(*arguments, state=state)[0], rtol=1e-4, atol=1e-4
    )
