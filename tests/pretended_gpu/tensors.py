"""Tensors that claim to be on a CUDA device, and compute on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.pretended_gpu.backward import backward
from tests.pretended_gpu.copies import STOPS, arrive, begin
from tests.pretended_gpu.rules import aten, check_devices, check_types, uploaded, waits

DEVICE = torch.device("cuda", 0)
#: with CUDA's tensors this would ask the card which of its kernels suits it
_WHOLE = {aten.scaled_dot_product_attention.default}


class PretendedTensor(Tensor):
    """A tensor on the pretended device; `on_cpu` holds its values."""

    on_cpu: Tensor
    __torch_function__: Any = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> PretendedTensor:
        """Shape, strides and dtype of a CPU's tensor."""
        with torch.inference_mode(on_cpu.is_inference()):  # not of a view of parameters
            made = Tensor._make_wrapper_subclass(
                cls,
                on_cpu.shape,
                strides=on_cpu.stride(),
                storage_offset=on_cpu.storage_offset(),
                dtype=on_cpu.dtype,
                device=DEVICE,
            )
        made.on_cpu = on_cpu
        return made

    def numpy(self, *, force: bool = False) -> Any:
        """As on CUDA."""
        if force:
            return self.cpu().numpy()
        raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")

    def tolist(self) -> Any:
        """As on CUDA."""
        return self.cpu().tolist()

    def backward(self, *_: Any, **__: Any) -> None:
        """Add the gradients of this, a single number."""
        backward(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        """Without asking the device."""
        return f"PretendedTensor({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Reached where no mode is on, as in other threads."""
        return compute(func, args, kwargs or {})


class PretendedMode(TorchDispatchMode):
    """Sees all operations of a thread, those without a tensor included."""

    def __init__(self) -> None:
        super().__init__()
        # in the place of PyTorch's fake tensors, for which no driver is looked for
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `compute`."""
        return compute(func, args, kwargs or {})


def on_gpu(values: Tensor) -> Tensor:
    """A copy of a CPU's tensor on the device, which is not counted."""
    return PretendedTensor(values.detach().clone())


def on_host(found: Any) -> Any:
    """The same with every tensor on the CPU, which is not counted."""
    return _mapped(found, lambda t: t.on_cpu if isinstance(t, PretendedTensor) else t)


def compute(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU, and say of its results where they are.

    Raises:
        MixedDevices: CUDA would refuse tensors of both devices.
        NotImplementedError: CUDA has no such kernel.
    """
    tensors = [*tensors_in((args, kwargs))]
    on_device = [t for t in tensors if isinstance(t, PretendedTensor)]
    devices = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.device)]
    target = devices[0].type if devices else None
    if not on_device and target != "cuda":
        if func is aten._pin_memory.default or func is aten.is_pinned.default:
            return args[0] if func is aten._pin_memory.default else False
        return func(*args, **kwargs)
    if _composite(func):  # what waits may be inside
        with PretendedMode():
            return func.decompose(*args, **kwargs)
    host = [t for t in tensors if not isinstance(t, PretendedTensor)]
    moves = func is aten._to_copy.default and (target == "cpu") == bool(on_device)
    if on_device and host:
        check_devices(func, args, host)
        if uploaded(func, args):
            STOPS.add("upload", f"{func} with indices of the CPU")
        if func is aten.copy_.default:
            moves, target = True, "cuda" if args[0] is on_device[0] else "cpu"
    if on_device:
        check_types(func, on_device)
        if waits(func, args, kwargs):
            STOPS.add("read", str(func))
            arrive()
    if moves and target is not None:
        waiting = not (kwargs.get("non_blocking") or args[2:] == (True,))
        if not waiting:
            STOPS.add("queued", str(func))
        else:
            STOPS.add("read" if target == "cpu" else "upload", str(func))
            arrive()
        if target == "cpu" and not waiting:
            assert func is aten._to_copy.default, "a copy into a tensor of the host: not pretended"
            return begin(_on_cpu(func, args, kwargs, target))
    return _on_cpu(func, args, kwargs, target or "cuda")


def _on_cpu(func: Any, args: Sequence[Any], kwargs: dict[str, Any], target: str) -> Any:
    """The operation itself; what it changes in place stays the tensor that it was."""
    known: dict[int, Tensor] = {}

    def within(tensor: Tensor) -> Tensor:
        inner = tensor.on_cpu if isinstance(tensor, PretendedTensor) else tensor
        known[id(inner)] = tensor
        return inner

    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    given = _mapped(args, within), {k: _mapped(v, within) for k, v in kwargs.items()}
    result = func(*given[0], **given[1])

    def outside(tensor: Tensor) -> Tensor:
        if id(tensor) in known:
            same = known[id(tensor)]
            assert same.shape == tensor.shape, f"{func} in place changes a shape: not pretended"
            return same
        return PretendedTensor(tensor) if target == "cuda" else tensor

    return _mapped(result, outside)


@cache
def _composite(func: Any) -> bool:
    """Whether an operation is put together of others, the same way on every device."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return func not in _WHOLE and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)


def tensors_in(found: Any) -> Iterator[Tensor]:
    """The tensors among an operation's arguments."""
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, dict):
        yield from tensors_in([*found.values()])
    elif isinstance(found, (list, tuple)):
        for one in found:
            yield from tensors_in(one)


def _mapped(found: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same with other tensors."""
    if isinstance(found, Tensor):
        return change(found)
    if isinstance(found, (list, tuple)):
        parts = [_mapped(one, change) for one in found]
        return type(found)(*parts) if hasattr(found, "_fields") else type(found)(parts)
    return found
