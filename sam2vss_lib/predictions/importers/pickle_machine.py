"""The few instructions of a pickle that make NumPy arrays and lists, interpreted as data.

A pickle is a program for a stack machine, which the standard library runs: it imports whatever the
file names, and calls it. Here nothing is imported or called. Five names are known by what they
would give, every other name and instruction is refused.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

_SHORT = 64  # bytes; longer texts and bytes stay in the file
_MARK = object()
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "frombuffer",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}


class ForeignNameError(Exception):
    """A pickle names a class or function that plain arrays do not need."""


@dataclass(frozen=True)
class Data:
    """Bytes, either here or in the argument of the instruction at a position of the file."""

    here: bytes = b""
    position: int | None = None


@dataclass
class PickledArray:
    """An array whose bytes are still in the file.

    Attributes:
        shape: its shape.
        dtype: its type, of numbers or truth values.
        data: where its bytes are.
        order: "C" if the last axis runs fastest, "F" if the first does.
    """

    shape: tuple[int, ...] = (0,)
    dtype: np.dtype[Any] = np.dtype(np.uint8)  # noqa: RUF009 - immutable
    data: Data = Data()
    order: str = "C"


@dataclass(frozen=True)
class _Name:
    """One of the names in `_KNOWN`, by its short form."""

    short: str


@dataclass
class _Dtype:
    """A NumPy type under construction; its byte order comes after its name."""

    name: str
    order: str = "="


def run(stream: Any) -> object:
    """Run a pickle.

    Args:
        stream: the file; its `read` must give less rather than fail when asked for too much.

    Returns:
        What the pickle holds: lists, tuples, numbers, texts, `PickledArray`, `Data`.

    Raises:
        ForeignNameError: it names something that arrays do not need.
        ValueError, TypeError, IndexError, KeyError: it is no pickle of arrays.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, position in pickletools.genops(stream):
        arg: Any = argument
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(arg)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                stack.append(arg if len(arg) <= _SHORT else Data(position=position))
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(Data(bytes(arg)) if len(arg) <= _SHORT else Data(position=position))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(_pop_to_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                _as_list(stack[-1]).append(item)
            case "APPENDS":
                items = _pop_to_mark(stack)
                _as_list(stack[-1]).extend(items)
            case "BINPUT" | "LONG_BINPUT":
                memo[arg] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "GLOBAL":
                stack.append(_name(*arg.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_name(module, name))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_call(function, arguments))
            case "BUILD":
                state = stack.pop()
                _set_state(stack[-1], state)
            case "STOP":
                return stack.pop()
            case _:
                raise ValueError(f"instruction {opcode.name} at byte {position}")
    raise ValueError("no end")


def _name(module: object, name: object) -> _Name:
    short = _KNOWN.get((str(module), str(name)))
    if short is None:
        raise ForeignNameError(f"{str(module)[:60]}.{str(name)[:60]}")
    return _Name(short)


def _call(function: object, arguments: Any) -> object:
    """What calling one of the known names would give."""
    match function, arguments:
        case _Name("reconstruct"), (_Name("ndarray"), _, _):
            return PickledArray()
        case _Name("dtype"), (str() as name, *_):
            return _Dtype(name)
        case _Name("encode"), (str() as text, "latin1"):
            return Data(text.encode("latin1"))
        case _Name("encode"), (Data() as data, "latin1"):
            return data
        case _Name("frombuffer"), (Data() as data, _Dtype() as dtype, tuple() as shape, order):
            return PickledArray(_shape(cast("Any", shape)), _dtype(dtype), data, str(order))
        case _:
            raise ValueError("a call that makes no array")


def _set_state(target: object, state: Any) -> None:
    """What setting an object's state would do to arrays and their types."""
    match target, state:
        case _Dtype(), (int(), str() as order, None, None, None, *_):
            target.order = order
        case PickledArray(), (
            int(),
            tuple() as shape,
            _Dtype() as dtype,
            int() as f,
            Data() as data,
        ):
            target.shape, target.dtype = _shape(cast("Any", shape)), _dtype(dtype)
            target.data, target.order = data, "F" if f else "C"
        case _:
            raise ValueError("a state that is no numeric array's")


def _dtype(dtype: _Dtype) -> np.dtype[Any]:
    made = np.dtype(dtype.name)
    if made.kind not in "iufb":
        raise ValueError(f"an array of {made}")
    return made.newbyteorder(">") if dtype.order == ">" else made


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a shape of no array")
    return shape


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    """Take what lies above the last mark, and the mark."""
    start = len(stack) - 1
    while start >= 0 and stack[start] is not _MARK:
        start -= 1
    if start < 0:
        raise ValueError("no mark")
    items = stack[start + 1 :]
    del stack[start:]
    return items


def _as_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("items for what is no list")
    return cast("list[Any]", value)
