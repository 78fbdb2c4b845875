"""What makes the host wait for a device, and which line of ours asked for it."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_ROOT = Path(__file__).resolve().parents[2]
_HARNESS = Path(__file__).resolve().parent
#: `read`: the host waits for an answer of the device. `upload`: a copy to the device that waits, as
#: `.to(device)` does, until all earlier work is done. `queued`: a copy with `non_blocking`, either
#: way, for which nobody waits. `beside`: another thread than the main one waits
Kind = Literal["read", "upload", "queued", "beside"]


@dataclass(frozen=True)
class Stop:
    """One answer or copy that was asked for."""

    kind: Kind
    what: str  # the operation
    place: str  # "FILE:LINE FUNCTION" of the innermost line of this repository

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind} by {self.what} at {self.place}"


@dataclass
class Stops:
    """Everything that was asked for so far, in order."""

    found: list[Stop] = field(default_factory=list)

    def add(self, kind: Kind, what: str) -> None:
        """Keep one, with the line that asks for it."""
        if kind != "queued" and threading.current_thread() is not threading.main_thread():
            kind = "beside"
        self.found.append(Stop(kind, what, _place()))

    def of(self, kind: Kind) -> list[Stop]:
        """Those of a kind."""
        return [stop for stop in self.found if stop.kind == kind]

    def taken(self) -> Stops:
        """Those since the last call, which are forgotten here."""
        taken, self.found = Stops(self.found), []
        return taken

    def __str__(self) -> str:
        """Each line that asks, and how often."""
        counted = Counter(map(str, self.found))
        return "\n".join(f"{count} x {stop}" for stop, count in counted.items()) or "none"


def _place() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        ours = path.is_relative_to(_ROOT) and "site-packages" not in path.parts
        if ours and not (path.parent == _HARNESS and not path.name.startswith("test_")):
            return f"{path.relative_to(_ROOT)}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "?"
