"""Arrays of a pickled list, found without running the pickle and read one at a time.

A pickle is a program for a stack machine that imports whatever the file names, and calls it. Here
the standard library's machine has only the instructions of arrays and lists, and its calls are
noted down instead of made. Bytes of arrays stay in the file (the machine would keep them all), so
that results of any size can be read frame by frame.
"""

import os
import pickle
import pickletools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.errors import first_line

_HINT = "the file must be a pickled list of integer NumPy arrays, one (height, width) a frame"
_SHORT = 64  # bytes; longer texts stay in the file, as all bytes of more than 255 do
_LONGEST_LINE = 256  # bytes; the names that are known are shorter
_NAMES = {  # NumPy 1's; NumPy 2 has `_core` for `core`
    *(("numpy.core.multiarray", "_reconstruct"), ("numpy.core.numeric", "_frombuffer")),
    *(("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")),
}
_INSTRUCTIONS = """PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1
    SHORT_BINUNICODE SHORT_BINBYTES EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE""".split()  # noqa: SIM905
_LENGTHS = {"BINUNICODE": "<I", "BINBYTES": "<I", "BINBYTES8": "<Q", "BYTEARRAY8": "<Q"}
_Machine: Any = pickle._Unpickler  # pyright: ignore[reportPrivateUsage] - C's cannot be changed


class _ForeignNameError(Exception):
    """A pickle names a class or function that plain arrays do not need."""


@dataclass(frozen=True)
class _Data:
    """Bytes that are still in the file; protocol 2 writes them as text."""

    position: int
    size_bytes: int
    is_text: bool


@dataclass
class _Call:
    """A call that the pickle asks for, and the state that it then sets (BUILD)."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True)
class PickledArray:
    """An array whose bytes are still in the file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # of numbers or truth values
    order: object  # "C" if the last axis runs fastest, "F" if the first does
    data: bytes | _Data  # where its bytes are; themselves if they are few


def find_arrays(path: Path) -> list[PickledArray]:
    """Find the arrays of a pickled list, of protocol 2 to 5, in its order; none is read yet.

    Raises:
        DataError: missing or empty file, no such pickle, or one that holds or names anything else.
    """
    if not path.is_file() or not path.stat().st_size:
        read_bytes(path)  # raises with the fitting message
    try:
        with path.open("rb") as stream:
            found = _Finder(stream).load()
        items = [_array(item) for item in found] if isinstance(found, list) else []
        what = "an empty list" if found == [] else _kind(_array(found))
    except _ForeignNameError as error:
        problem = f"needs {error}, which label arrays do not; nothing of it was run"
        raise FileFault(path, problem, _HINT) from None
    except Exception as error:  # instructions in a senseless order, or cut short, raise many things
        raise FileFault(path, f"no pickle of arrays ({first_line(error)})", _HINT) from None
    if not items:
        raise FileFault(path, f"holds {what}, not a list of arrays", _HINT)
    for index, item in enumerate(items):
        if isinstance(item, str | _Data):
            problem = f"result {index} is a text, likely the name of a temporary file"
            hint = "run the test with --format-only and use the PNG files that it writes"
            raise FileFault(path, problem, hint)
        if not isinstance(item, PickledArray):
            raise FileFault(path, f"result {index} is {_kind(item)}, not an array", _HINT)
    return cast("list[PickledArray]", items)


def read_array(path: Path, array: PickledArray) -> NDArray[Any]:
    """Read one of the arrays that were found in a file.

    Returns:
        An array of its shape and type.

    Raises:
        DataError: the file has changed, or does not hold as many bytes as the shape says.
    """
    data = array.data
    try:
        if isinstance(data, _Data):
            is_text = data.is_text
            with path.open("rb") as stream:
                stream.seek(data.position)
                data = stream.read(data.size_bytes)
            data = data.decode().encode("latin1") if is_text else data
        flat = np.frombuffer(data, array.dtype)
        return flat.reshape(array.shape, order="F" if array.order == "F" else "C")
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise FileFault(path, f"array not readable ({first_line(error)})", _HINT) from None


class _Finder(_Machine):
    """The standard machine with a closed set of names, and of instructions (see `dispatch`)."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(SimpleNamespace(read=stream.read, readline=self.read_line))
        self.stream, self.end = stream, os.fstat(stream.fileno()).st_size

    def find_class(self, module: str, name: str) -> Callable[..., _Call]:
        """What notes down a call of a known name; a function, as its state cannot be set."""
        if (module.replace("numpy._core.", "numpy.core."), name) not in _NAMES:
            raise _ForeignNameError(f"{module[:60]}.{name[:60]}")
        return lambda *arguments: _Call(name, arguments)

    def read_line(self) -> bytes:
        """A line with its end, as names are written."""
        line = self.stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise EOFError("a name without an end")
        return line

    def leave_data(self, length: str, is_text: bool) -> None:
        """Note where bytes are, and go on behind them; short texts are read."""
        (size_bytes,) = struct.unpack(length, self.stream.read(struct.calcsize(length)))
        data = _Data(self.stream.tell(), size_bytes, is_text)
        if data.position + size_bytes > self.end:
            raise EOFError(
                f"{size_bytes} bytes at byte {data.position}, where the file ends before"
            )
        if is_text and size_bytes <= _SHORT:
            self.append(self.stream.read(size_bytes).decode())
        else:
            self.stream.seek(size_bytes, os.SEEK_CUR)
            self.append(data)

    def set_state(self) -> None:
        """Note down a state; only what a call would have made has one."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Call):
            raise ValueError("a state that is no array's")
        self.stack[-1].state = state


def _instruction(opcode: pickletools.OpcodeInfo) -> Callable[[Any], object]:
    """What a `_Finder` does at an instruction."""
    name = opcode.name
    if name in _INSTRUCTIONS:
        return _Machine.dispatch[ord(opcode.code)]
    if name in _LENGTHS:
        return lambda finder: finder.leave_data(_LENGTHS[name], name == "BINUNICODE")
    if name == "BUILD":
        return _Finder.set_state
    if name == "FRAME":  # how much to read ahead, which is not done
        return lambda finder: finder.stream.seek(8, os.SEEK_CUR)

    def refuse(finder: _Finder) -> None:
        raise ValueError(f"instruction {name} at byte {finder.stream.tell() - 1}")

    return refuse


_Finder.dispatch = {ord(opcode.code): _instruction(opcode) for opcode in pickletools.opcodes}


def _array(item: object) -> object:
    """The array that noted calls would have made; anything else as it is.

    Raises:
        ValueError: they would not have made an array of numbers or truth values.
    """
    match item:
        case _Call("_reconstruct", _, (_, shape, dtype, is_fortran, data)):
            order = "F" if is_fortran else "C"
        case _Call("_frombuffer", (data, dtype, shape, order)):
            pass
        case _Call():
            raise ValueError("a call that makes no array")
        case _:
            return item
    match data:
        case _Call("encode", (text, "latin1")):  # how protocol 2 makes bytes
            data = text.encode("latin1") if isinstance(text, str) else text
        case _:
            pass
    match data, dtype, shape:
        case bytes() | _Data(), _Call("dtype", (str() as name, *_), (_, byte_order, *_)), tuple():
            are_sizes = all(type(size) is int and size >= 0 for size in shape)
            if are_sizes and re.fullmatch(r"[biuf]\d{1,2}", name):
                dtype = np.dtype(name).newbyteorder(">" if byte_order == ">" else "=")
                return PickledArray(shape, dtype, order, data)
        case _:
            pass
    raise ValueError("an array of no numbers")


def _kind(value: object) -> str:
    known = {PickledArray: "an array", _Data: "text or bytes"}
    return known.get(cast("Any", type(value)), f"of type {type(value).__name__}")
