"""A memory of what was computed that never grows beyond its bound."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
MIB = 2**20


class Bounded(Generic[Value]):
    """The values that were used last, as many as fit into a number of bytes; one always does.

    Example:
        >>> kept = Bounded[bytes](max_bytes=4, size=len)
        >>> [kept.get(key, lambda: b"ab") for key in (1, 2, 3)]
        [b'ab', b'ab', b'ab']
        >>> len(kept), kept.bytes
        (2, 4)
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self._max, self._size = max_bytes, size
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        """Number of values."""
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """A value that is known, or is made now."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        value = make()
        size = self._size(value)
        while self._kept and self.bytes + size > self._max:
            _, (_, freed) = self._kept.popitem(last=False)
            self.bytes -= freed
        self._kept[key] = value, size
        self.bytes += size
        return value
