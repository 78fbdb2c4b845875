"""Memories of tracked objects, and which of them are made, kept and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2vss_lib.masklets.approximations import EXACT, Approximations


@dataclass
class Memories:
    """Memories of n objects that may still be read, by frame of the window."""

    maps: dict[int, Tensor] = field(default_factory=dict)  # (n, p, M) bfloat16, as stock keeps them
    pointers: dict[int, Tensor] = field(default_factory=dict)  # (n, C) object pointers

    def rows(self, index: slice | Tensor) -> Memories:
        """Some of the objects."""
        if isinstance(index, Tensor) and self.pointers:  # copied once, not for every tensor
            device = next(iter(self.pointers.values())).device
            index = index.to(device, non_blocking=True)
        return Memories(
            {frame: x[index] for frame, x in self.maps.items()},
            {frame: x[index] for frame, x in self.pointers.items()},
        )

    def filled_up(self, size: int) -> Memories:
        """These and, behind them, memories of nothing: of `size` objects in all."""
        return Memories(
            {frame: filled_up(x, size) for frame, x in self.maps.items()},
            {frame: filled_up(x, size) for frame, x in self.pointers.items()},
        )

    @staticmethod
    def joined(parts: Sequence[Memories]) -> Memories:
        """Memories of the same frames, one part's objects after the other's."""
        return Memories(
            {t: torch.cat([part.maps[t] for part in parts]) for t in parts[0].maps},
            {t: torch.cat([part.pointers[t] for part in parts]) for t in parts[0].pointers},
        )

    def with_frame(
        self, frame: int, maps: Tensor | None, pointers: Tensor, reach: Reach
    ) -> Memories:
        """These and a new frame's memories, without those that no later frame reads."""
        kept = {t: x for t, x in self.maps.items() if reach.maps(t, frame)}
        old_pointers = {t: x for t, x in self.pointers.items() if reach.pointers(t, frame)}
        if maps is not None:
            kept[frame] = maps
        return Memories(kept, {**old_pointers, frame: pointers})


def filled_up(x: Tensor, size: int) -> Tensor:
    """(n, ...) and zeros behind it, (size, ...)."""
    if len(x) == size:
        return x
    return F.pad(x, (0, 0) * (x.ndim - 1) + (0, size - len(x)))


class Reach:
    """Which memories a later frame of a sam2 `SAM2Base` reads: the first frame's, and recent ones'.

    With a stride, maps are made of every n-th frame only; the most recent one of them then takes
    the place of the frame before, and so on.
    """

    def __init__(self, predictor: Any, approximations: Approximations = EXACT) -> None:
        self._num_maps = predictor.num_maskmem
        self._num_recent = self._num_maps - 1
        if approximations.recent_memories is not None:
            self._num_recent = min(self._num_recent, approximations.recent_memories)
        self._stride = predictor.memory_temporal_stride_for_eval
        self._step = approximations.memory_stride_frames
        self._num_pointers = predictor.max_obj_ptrs_in_encoder

    def remembers(self, frame: int) -> bool:
        """Whether a map is made of a frame."""
        return frame == 0 or (self._num_recent > 0 and frame % self._step == 0)

    def map_frames(self, frame: int) -> list[tuple[int, int]]:
        """(frame, index of its temporal code) of the maps that `frame` reads, oldest first."""
        recent = [(self._before(frame, n), n - 1) for n in range(self._num_recent, 0, -1)]
        return [(0, self._num_maps - 1), *(pair for pair in recent if pair[0] > 0)]

    def _before(self, frame: int, back: int) -> int:
        """The frame of the `back`-th map that `frame` reads, from recent to old."""
        if self._step > 1:
            return (frame - 1) // self._step * self._step - (back - 1) * self._step
        if back == 1:
            return frame - 1
        return (frame - 2) // self._stride * self._stride - (back - 2) * self._stride

    def pointer_frames(self, frame: int) -> list[int]:
        """Frames of the pointers that `frame` reads: the first, then from recent to old."""
        return [0, *range(frame - 1, max(0, frame - self._num_pointers), -1)]

    def maps(self, old: int, frame: int) -> bool:
        """Whether the map of an old frame may still be read after `frame`."""
        if self._step > 1:
            return old == 0 or old >= self._before(frame + 1, self._num_recent)
        oldest = self._before(frame + 1, self._num_recent)
        return old == 0 or (old >= oldest and old % self._stride == 0 and self._num_recent > 1)

    def pointers(self, old: int, frame: int) -> bool:
        """Whether the pointer of an old frame may still be read after `frame`."""
        return old == 0 or old > frame + 1 - self._num_pointers
