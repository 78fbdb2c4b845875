"""What leaves the device of masklets on a frame: places at which pixels change, and nothing else.

Masks take a byte a pixel, and a host spends milliseconds on making run lengths of one. Going down
its columns, a mask changes at a thousand places, which the device finds and the host makes runs
of. A GPU is not waited for here: the numbers come when it gets there, and whoever asks for them
waits, which is the thread that writes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.drawing.frame_size import (
    WHOLE,
    VisibleParts,
    above,
    occupied,
    parts_at_frame_size,
)
from sam2vss_lib.masklets.runs import Runs, runs_of_changes, runs_of_owners

#: changes a map and column that a GPU keeps room for, since it has to be waited for before it says
#: how many there are: two pieces of a mask on every column; where there are more it draws once more
_ROOM = 4
_MAPS_OF_ONE = 16  # a map of who is seen has the changes of many masks
_NO_PLACE = -1


class OnItsWay:
    """A tensor that is being copied to the host."""

    def __init__(self, x: Tensor) -> None:
        self._copy = x.to("cpu", non_blocking=True)  # into pinned memory where x is on a GPU
        self._copied = torch.cuda.Event() if x.device.type == "cuda" else None
        if self._copied is not None:
            self._copied.record()

    def numpy(self) -> NDArray[Any]:
        """Its numbers, which this waits for."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._copy.numpy()


class _Changes(NamedTuple):
    """Where maps change."""

    first: int  # number of the first of the maps
    place: OnItsWay  # as `changes` gives them
    owner: OnItsWay | None  # whose the pixels are from there on, where that is what a map says


class Drawn:
    """Objects on a frame: their masks, and what of them is seen."""

    def __init__(
        self,
        low: Tensor,
        size_px: tuple[int, int],
        shown: Sequence[NDArray[np.int64]],
        hidden: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw (k, 1, h, w) logits on a frame of (H, W).

        `shown` are sets of objects, (n,) rows of the logits each, that hide each other as
        `VisibleParts` says, and are seen where nothing else is, `hidden`, (H, W).
        """
        self._low, self._size, self._shown, self._hidden = low, size_px, shown, hidden
        self._masks, self._seen = self._drawn(_ROOM)

    def runs(self) -> tuple[Runs, list[Runs]]:
        """The k masks, and the disjoint masks of each set of objects."""
        if any(one.place.numpy()[-1] != _NO_PLACE for one in (*self._masks, *self._seen)):
            self._masks, self._seen = self._drawn(None)
        pixels = self._size[0] * self._size[1]
        places = [part.place.numpy() for part in self._masks]
        places = [
            place[place != _NO_PLACE] + part.first * pixels
            for part, place in zip(self._masks, places, strict=True)
        ]
        mask, place = np.divmod(np.concatenate(places), pixels)
        masks = runs_of_changes(mask, place, len(self._low), self._size)
        return masks, [self._runs_of(*one) for one in zip(self._seen, self._shown, strict=True)]

    def _runs_of(self, seen: _Changes, rows: NDArray[np.int64]) -> Runs:
        assert seen.owner is not None
        place, owner = seen.place.numpy(), seen.owner.numpy()
        known = place != _NO_PLACE
        return runs_of_owners(place[known], owner[known], len(rows), self._size)

    def _drawn(self, room: int | None) -> tuple[list[_Changes], list[_Changes]]:
        """Changes of masks, some at a time, and of the maps of who is seen."""
        height, width = self._size
        tops = [VisibleParts(rows, self._size) for rows in self._shown]
        masks, seen = list[_Changes](), list[_Changes]()
        with torch.inference_mode():
            for first, logits in parts_at_frame_size(self._low, self._size):
                drawn = above(logits)
                within = WHOLE
                if drawn.device.type == "cpu":  # a GPU would have to be waited for
                    within = occupied(np.logical_or.reduce(drawn.numpy()))
                room_here = room and room * width * len(drawn)
                masks.append(_Changes(first, OnItsWay(changes(drawn, 0, room_here)), None))
                for top in tops:
                    top.add(first, logits, within)
            for rows, top in zip(self._shown, tops, strict=True):
                owners = top.owners(self._hidden)
                place = changes(owners[None], len(rows), room and room * width * _MAPS_OF_ONE)
                owner = owners[place % height, place.clamp_min(0) // height]
                seen.append(_Changes(0, OnItsWay(place), OnItsWay(owner)))
        return masks, seen


def changes(maps: Tensor, nothing: int, room: int | None) -> Tensor:
    """Where pixels of (k, H, W) maps differ from the one before, which is `nothing` at first.

    Columns go from top to bottom, one after the other, and so do maps. As GPUs are not waited for,
    there are as many places as there is room for, or all where none is said.

    Returns:
        (c,) int64 places in all maps, ascending, and behind them at least one -1, unless there were
        more than there was room for.
    """
    if maps.device.type == "cpu":
        return torch.from_numpy(_changes_on_host(maps.numpy(), nothing))
    return _changes_on_device(maps, nothing, room)


def _changes_on_device(maps: Tensor, nothing: int, room: int | None) -> Tensor:
    columns = maps.transpose(1, 2).flatten(1)
    changed = torch.cat([columns[:, :1] != nothing, columns[:, 1:] != columns[:, :-1]], 1).flatten()
    if room is not None:
        return changed.nonzero_static(size=room + 1, fill_value=_NO_PLACE)[:, 0]
    return F.pad(changed.nonzero()[:, 0], (0, 1), value=_NO_PLACE)


def _changes_on_host(maps: NDArray[Any], nothing: int) -> NDArray[np.int64]:
    """The same of all maps, looking only where there is something."""
    (height, width), found = maps.shape[1:], list[NDArray[np.int64]]()
    for number, one in enumerate(maps):
        something: NDArray[np.bool_] = one != nothing
        rows, columns = occupied(something)
        if rows.stop - rows.start == height:  # a column goes on at the top of the next
            columns = slice(columns.start, min(columns.stop + 1, width))
        inside = one[rows, columns]
        bordered = np.full((len(inside) + 2, inside.shape[1]), nothing, one.dtype)
        bordered[1:-1] = inside
        if len(inside) == height:
            bordered[0, 1:] = inside[-1, :-1]
            bordered = bordered[:-1]
        changed = np.flatnonzero((bordered[1:] != bordered[:-1]).ravel())
        row, column = np.divmod(changed, max(inside.shape[1], 1))
        place = (column + columns.start) * height + row + rows.start
        place.sort()
        behind = np.searchsorted(place, height * width)  # what ends there ends with the map
        found.append(place[:behind] + number * height * width)
    return np.concatenate([*found, [_NO_PLACE]])
