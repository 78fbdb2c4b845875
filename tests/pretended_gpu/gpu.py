"""A machine that seems to have a CUDA device.

Within `pretended_gpu` PyTorch finds a device "cuda": `torch.zeros(..., device="cuda")`,
`x.to("cuda")`, `model.cuda()` and whatever follows from them give tensors whose `device` is
"cuda:0". They compute on the CPU. A CPU's tensor beside one of the device is refused where CUDA
refuses it, `.numpy()` raises, products of integers have no kernel, and every operation for which
the host would have to wait is counted with the line of ours that asks for it. What is copied to the
host with `non_blocking` is garbage until it has been waited for. Threads see the device too.

It does not find what only a card can show: other orders of sums, kernels that lack a dtype or are
slow, memory that runs out, other races, and what others do in C++ behind one operation.
"""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from tests.pretended_gpu.copies import STOPS, Event, arrive, synchronize
from tests.pretended_gpu.stops import Stops
from tests.pretended_gpu.tensors import PretendedMode

_FREE_BYTES = 8 << 30
_THERE: dict[str, Any] = {
    "is_available": lambda: True,
    "is_bf16_supported": lambda *_: True,
    "is_current_stream_capturing": lambda: False,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "mem_get_info": lambda *_: (_FREE_BYTES, _FREE_BYTES),
    "empty_cache": lambda: None,
    "get_rng_state": lambda *_: None,
    "set_rng_state": lambda *_: None,
    "Event": Event,
    "synchronize": synchronize,
}


@contextmanager
def pretended_gpu() -> Generator[Stops]:
    """Run with a pretended CUDA device, which counts its stops from none on."""
    STOPS.taken()
    plain = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        with PretendedMode():
            plain(thread)

    lifted = torch._C._only_lift_cpu_tensors()
    in_place = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        stack.enter_context(patch.multiple(torch.cuda, **_THERE))
        stack.enter_context(patch.object(threading.Thread, "run", run))
        torch._C._ensureCUDADeviceGuardSet()
        # `torch.tensor` with a device is a copy to it like any other
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, lifted)
        # `module.to` puts new parameters in the place of the old, which cannot change their kind
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, in_place)
        # its batch norm is an operation that no CPU has
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(PretendedMode())
        yield STOPS
        arrive()
