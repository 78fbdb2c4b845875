"""Arrays of a pickled list, found without running the pickle and read one at a time.

The first pass notes where the bytes of each array lie, so that results of any size take little
memory, and any array can be read at any time.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.errors import first_line
from sam2vss_lib.predictions.importers.pickle_machine import (
    Data,
    ForeignNameError,
    PickledArray,
    run,
)

_HINT = "the file must be a pickled list of integer NumPy arrays, one (height, width) a frame"


def find_arrays(path: Path) -> list[PickledArray]:
    """Find the arrays of a pickled list.

    Args:
        path: the pickle, of protocol 2 to 5.

    Returns:
        The arrays in the order of the list, not yet read.

    Raises:
        DataError: missing or empty file, no such pickle, or one that holds or names anything else.
    """
    if not path.is_file() or not path.stat().st_size:
        read_bytes(path)  # raises with the fitting message
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of texts in instructions that are refused anyway
            found = run(_Bounded(stream))
    except ForeignNameError as error:
        problem = f"needs {error}, which label arrays do not; nothing of it was run"
        raise FileFault(path, problem, _HINT) from None
    # what instructions in a senseless order, or cut short, lead to
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, OSError) as error:
        raise FileFault(path, f"no pickle of arrays ({first_line(error)})", _HINT) from None
    if not isinstance(found, list) or not found:
        raise FileFault(path, f"holds {_kind(found)}, not a list of arrays", _HINT)
    arrays: list[PickledArray] = []
    for index, item in enumerate(cast("list[object]", found)):
        if isinstance(item, str | Data):
            problem = f"result {index} is a text, likely the name of a temporary file"
            hint = "run the test with --format-only and use the PNG files that it writes"
            raise FileFault(path, problem, hint)
        if not isinstance(item, PickledArray):
            raise FileFault(path, f"result {index} is {_kind(item)}, not an array", _HINT)
        arrays.append(item)
    return arrays


def read_array(path: Path, array: PickledArray) -> NDArray[Any]:
    """Read one of the arrays that were found in a file.

    Returns:
        An array of its shape and type.

    Raises:
        DataError: the file has changed, or does not hold as many bytes as the shape says.
    """
    try:
        data = array.data.here
        if array.data.position is not None:
            with path.open("rb") as stream:
                stream.seek(array.data.position)
                argument = next(pickletools.genops(cast("io.BytesIO", _Bounded(stream))))[1]
            # protocol 2 writes bytes as text
            data = argument.encode("latin1") if isinstance(argument, str) else argument
        flat = np.frombuffer(cast("bytes", data), array.dtype)
        return flat.reshape(array.shape, order="F" if array.order == "F" else "C")
    except (ValueError, TypeError, OSError, StopIteration) as error:
        raise FileFault(path, f"array not readable ({first_line(error)})", _HINT) from None


class _Bounded:
    """A file that is never asked for more bytes than it has, whatever lengths it claims."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        place = stream.tell()
        self._end = stream.seek(0, io.SEEK_END)
        stream.seek(place)
        self.tell = stream.tell
        self.readline = stream.readline

    def read(self, size: int) -> bytes:
        return self._stream.read(min(size, self._end - self._stream.tell()))


def _kind(value: object) -> str:
    if value == []:
        return "an empty list"
    known = {PickledArray: "an array", Data: "text or bytes"}
    return known.get(cast("Any", type(value)), f"of type {type(value).__name__}")
