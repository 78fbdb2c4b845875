"""The pretended GPU refuses and counts what CUDA refuses and waits for, and nothing else."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.rules import MixedDevices
from tests.pretended_gpu.stops import Stops
from tests.pretended_gpu.tensors import on_gpu, on_host

CUDA = torch.device("cuda", 0)
Use = Callable[[Tensor], Any]


def matrix() -> Tensor:
    """(2, 3) on the device."""
    return on_gpu(torch.arange(6.0).view(2, 3))


MADE: dict[str, Use] = {
    "zeros": lambda x: torch.zeros(3, device="cuda"),
    "tensor": lambda x: torch.tensor([1, 2], device=x.device),
    "arange": lambda x: torch.arange(3, device=x.device),
    "random": lambda x: torch.randn(2, device="cuda"),
    "to": lambda x: torch.ones(2).to(x.device),
    "to like another": lambda x: torch.ones(2).to(x),
    "cuda": lambda x: torch.ones(2).cuda(),
    "of numpy": lambda x: torch.from_numpy(np.ones(2)).to("cuda").float(),
    "new": lambda x: x.new_tensor([1]) + x.new_zeros(1),
    "like": torch.ones_like,
    "view": lambda x: x[0].view(1, 3).T,
    "module": lambda x: torch.nn.Linear(3, 2).to("cuda")(x),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "layers": lambda x: torch.nn.MultiheadAttention(3, 1).cuda()(x, x, x)[0],
}
REFUSED: dict[str, Use] = {
    "sum": lambda x: x + torch.ones(3),
    "product": lambda x: x @ torch.ones(3, 1),
    "module": lambda x: torch.nn.Linear(3, 2)(x),
    "module on the device": lambda x: torch.nn.Linear(3, 2).cuda()(x.cpu()),
    "row of numbers": lambda x: torch.cat([x, torch.ones(1, 3)]),
    "choice": lambda x: torch.where(x > 0, x, torch.ones(2, 3)),
    "values put": lambda x: x.__setitem__(x > 0, torch.ones(5)),
    "indices into the CPU's": lambda x: torch.ones(9)[x.long()],
    "one of the device": lambda x: torch.ones(3) * x[0, 0],
    "index_select": lambda x: x.index_select(0, torch.zeros(1, dtype=torch.long)),
}
ALLOWED: dict[str, Use] = {
    "a number": lambda x: torch.where(x > 1, x + 1, 0.0),
    "a scalar of the CPU": lambda x: (x * torch.tensor(2.0)).clamp_(torch.tensor(0.0)),
    "a number put": lambda x: x.__setitem__(x > 0, 3.0),
    "a mask filled": lambda x: x.masked_fill(x > 0, 3.0),
    "repeated": lambda x: x.repeat_interleave(2, 1),
    "a queued copy": lambda x: torch.ones(3).to(x.device, non_blocking=True) + x,
    "what is known": lambda x: (len(x), x.shape, x.device.type, x.is_floating_point()),
}
WAITING: dict[str, Use] = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: 1 if (x > 0).any() else 0,
    "float": lambda x: float(x[0, 0]),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "tolist": lambda x: x.tolist(),
    "copied over": lambda x: torch.zeros(2, 3).copy_(x),
    "mask": lambda x: x[x > 0],
    "values by mask": lambda x: x.__setitem__(x > 0, x.new_ones(())),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0)[0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "repeated": lambda x: x[0].repeat_interleave(x[0].long()),
    "bincount": lambda x: x[0].long().bincount(),
    "equal": lambda x: torch.equal(x, x),
    "synchronize": lambda x: torch.cuda.synchronize(),
}
UPLOADING: dict[str, Use] = {
    "to": lambda x: torch.ones(2).to(x.device),
    "tensor": lambda x: torch.tensor(1.0, device=x.device),
    "list of indices": lambda x: x[:, [0, 2]],
    "indices of the CPU": lambda x: x[torch.tensor([1])],
    "copied over": lambda x: x.copy_(torch.ones(2, 3)),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", MADE)
def test_whatever_is_made_there_is_there(gpu: Stops, name: str, inference: bool) -> None:
    with torch.inference_mode(inference):
        found = MADE[name](matrix())
        assert found.device == CUDA
        with pytest.raises(TypeError, match="can't convert cuda"):
            found.detach().numpy()
        assert on_host(found).device.type == "cpu"


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cuda_refuses_is_refused(gpu: Stops, name: str, inference: bool) -> None:
    with torch.inference_mode(inference), pytest.raises(MixedDevices, match="same device"):
        REFUSED[name](matrix())


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", ALLOWED)
def test_what_cuda_allows_neither_raises_nor_waits(gpu: Stops, name: str, inference: bool) -> None:
    with torch.inference_mode(inference):
        ALLOWED[name](matrix())
    assert not gpu.of("read") + gpu.of("upload"), str(gpu)


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", WAITING)
def test_every_answer_is_counted_once(gpu: Stops, name: str, inference: bool) -> None:
    with torch.inference_mode(inference):
        WAITING[name](matrix())
    assert len(gpu.of("read")) == 1, str(gpu)
    assert gpu.found[-1].place.startswith("tests/pretended_gpu/test_harness.py:")


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", UPLOADING)
def test_every_copy_to_the_device_is_counted_apart(gpu: Stops, name: str, inference: bool) -> None:
    with torch.inference_mode(inference):
        UPLOADING[name](matrix())
    assert (len(gpu.of("upload")), len(gpu.of("read"))) == (1, 0), str(gpu)


def test_a_copy_under_way_is_garbage_until_it_is_waited_for(gpu: Stops) -> None:
    copy, event = matrix().to("cpu", non_blocking=True), torch.cuda.Event()
    event.record()
    assert copy.isnan().all()
    assert not gpu.of("read")
    event.synchronize()
    assert torch.equal(copy, on_host(matrix()))
    assert len(gpu.of("read")) == 1


def test_threads_see_the_device_and_wait_beside_the_main_one(gpu: Stops) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: torch.ones(2, device="cuda").sum().item()).result() == 2
    assert [stop.kind for stop in gpu.found] == ["beside"]


def test_integers_have_no_products(gpu: Stops) -> None:
    with pytest.raises(NotImplementedError, match="int64"):
        torch.mm(matrix().long(), matrix().long().T)


def test_autocast_is_that_of_cuda(gpu: Stops) -> None:
    layer = torch.nn.Linear(3, 2).to("cuda")
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        assert layer(matrix()).dtype == torch.bfloat16
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert layer(matrix()).dtype == torch.float32


def fitted(device: str) -> list[Tensor]:
    """The parameters of a small network after some steps."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.GELU(), torch.nn.Linear(4, 2)
    ).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), 0.1)
    for step in range(3):
        x = torch.arange(15.0).view(5, 3).to(device) + step
        logits = network(x) + network(x[:1])  # used twice, and broadcast
        loss = F.cross_entropy(logits, torch.arange(5, device=device) % 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [on_host(value.detach()) for value in network.parameters()]


def test_gradients_are_those_of_the_cpu() -> None:
    expected = fitted("cpu")
    with pretended_gpu():
        found = fitted("cuda")
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_afterwards_there_is_no_device() -> None:
    available = torch.cuda.is_available()
    with pretended_gpu():
        torch.zeros(1, device="cuda")
    assert torch.cuda.is_available() == available
    if not available:
        with pytest.raises((RuntimeError, AssertionError)):
            torch.zeros(1, device="cuda")
    torch.ones(1, requires_grad=True).sum().backward()
