"""What CUDA allows of tensors that meet, and which operations wait for the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

aten: Any = torch.ops.aten

_INDEXED = {aten.index.Tensor}
_PUT = {aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
#: a CPU's tensor without dimensions is passed by value to these and to whatever works by pixels
_TAKE_SCALARS = {
    aten.fill_.Tensor,
    aten.fill.Tensor,
    aten.masked_fill.Tensor,
    aten.masked_fill_.Tensor,
    aten.where.self,
}
#: sizes of results that follow from values, without PyTorch's tag that says so
_READ = {"torchvision::nms", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive"}
_PRODUCTS = {
    "aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::addbmm", "aten::convolution",
}  # fmt: skip


class MixedDevices(RuntimeError):
    """What CUDA would refuse."""


def check_devices(func: Any, args: Sequence[Any], on_host: Sequence[Tensor]) -> None:
    """Refuse a CPU's tensors beside those of the device, unless CUDA takes them.

    It takes those without dimensions where it works element by element, copies between devices,
    and indices.

    Raises:
        MixedDevices: as CUDA's "Expected all tensors to be on the same device".
    """
    if func is aten.copy_.default:
        return
    if func in _INDEXED | _PUT:
        if not any(args[0] is tensor for tensor in on_host) and (
            func in _INDEXED or args[2].ndim == 0 or not any(args[2] is one for one in on_host)
        ):
            return
    elif all(tensor.ndim == 0 for tensor in on_host) and (
        func in _TAKE_SCALARS or torch.Tag.pointwise in func.tags
    ):
        return
    shapes = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in on_host)
    raise MixedDevices(
        f"{func}: expected all tensors to be on the same device, but found on the CPU: {shapes}"
    )


def check_types(func: Any, tensors: Sequence[Tensor]) -> None:
    """Refuse what CUDA has no kernel for: products of integers.

    Raises:
        NotImplementedError: as CUDA's "addmm_cuda not implemented for 'Long'".
    """
    if func._schema.name in _PRODUCTS and not all(
        t.is_floating_point() or t.is_complex() for t in tensors
    ):
        raise NotImplementedError(f"{func} is not implemented on CUDA for {tensors[0].dtype}")


def waits(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether an operation on the device waits for an answer.

    It does if its result is a number or the size of its result follows from values.
    """
    if func in _INDEXED:
        return any(_is_mask(index) and index.device.type != "cpu" for index in args[1])
    if func in _PUT:  # one number from the host through a mask is a `masked_fill_`
        masked = any(_is_mask(index) and index.device.type != "cpu" for index in args[1])
        return masked and not (args[2].numel() == 1 and args[2].device.type == "cpu")
    if func is aten.repeat_interleave.Tensor:
        return kwargs.get("output_size") is None
    return (
        func._schema.name in _READ
        or torch.Tag.data_dependent_output in func.tags
        or torch.Tag.dynamic_output_shape in func.tags
    )


def uploaded(func: Any, args: Sequence[Any]) -> bool:
    """Whether an operation with a CPU's tensors first copies some of them, as with indices."""
    if func not in _INDEXED | _PUT:
        return False
    return any(index is not None and index.device.type == "cpu" for index in args[1])


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)
