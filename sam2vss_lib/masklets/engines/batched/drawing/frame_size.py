"""Masks and logits at the size of the frames, which may be any: a few at a time, or packed.

A masklet's logits take 4 bytes a pixel, 33 MB on a 4K frame, and a window may have hundreds. So
they are kept at the model's own size, and brought to the frame's in parts of a few MB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

#: logits at the frame's size held at once, in bytes, or those of one mask: as many as fit the
#: caches of a CPU, and as many as keep a GPU busy
_PART_BYTES = {"cpu": 2 << 20, "cuda": 1 << 30}
WHOLE = slice(None), slice(None)  # all rows and columns
_BITS = 0x0102040810204080  # gathers the lowest bits of eight bytes in the highest byte


@dataclass(frozen=True)
class PackedMasks:
    """Masks at a bit a pixel, in row-major order, read as an (n, H, W) bool array is."""

    packed: NDArray[np.uint8]  # (n, ceil(H * W / 8)), lowest bit first
    size_px: tuple[int, int]  # (H, W)

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.packed)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, H, W)."""
        return len(self.packed), *self.size_px

    def __getitem__(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(k, H, W) masks of some indices."""
        height, width = self.size_px
        bits = np.unpackbits(self.packed[index], axis=1, count=height * width, bitorder="little")
        return bits.view(np.bool_).reshape(-1, height, width)


def pack(masks: Tensor) -> Tensor:
    """(k, m) bool to (k, ceil(m / 8)) uint8, lowest bit first."""
    if masks.device.type == "cpu":
        return torch.from_numpy(np.packbits(masks.numpy(), axis=1, bitorder="little"))
    if spare := -masks.shape[1] % 8:
        masks = F.pad(masks, (0, spare))
    eights = masks.contiguous().view(torch.int64)
    return (eights * _BITS >> 56).to(torch.int8).view(torch.uint8)


def in_parts(x: Tensor, size_px: Sequence[int]) -> tuple[Tensor, ...]:
    """Rows of a tensor, one a mask, in parts that may be brought to a frame's size at once."""
    height, width = size_px
    wanted = _PART_BYTES.get(x.device.type, 1 << 28)
    return x.split(max(1, wanted // (4 * height * width)))


def at_frame_size(logits: Tensor, size_px: Sequence[int]) -> Tensor:
    """(k, 1, h, w) logits as stock resizes them, (k, H, W)."""
    if logits.shape[-2:] == tuple(size_px):
        return logits[:, 0]
    size = list(size_px)
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[:, 0]


def above(logits: Tensor, threshold: float = 0.0) -> Tensor:
    """Where logits are above a threshold, bool."""
    if logits.device.type == "cpu":  # numpy compares several times as fast
        return torch.from_numpy(logits.numpy() > threshold)
    return logits > threshold


def count_pixels(masks: Tensor) -> Tensor:
    """(k,) int32 number of pixels of (k, H, W) masks."""
    if masks.device.type == "cpu":
        return torch.tensor([*map(np.count_nonzero, masks.numpy())], dtype=torch.int32)
    return masks.sum((1, 2), dtype=torch.int32)


def overlaps(packed: Tensor) -> NDArray[np.float64]:
    """(n, n) IoU of masks as `pack` gives them; that of an empty mask with any is 0."""
    shared = torch.zeros(len(packed), len(packed), dtype=torch.float64, device=packed.device)
    bits = torch.arange(8, device=packed.device, dtype=torch.uint8)
    together = max(1, _PART_BYTES.get(packed.device.type, 1 << 28) // (32 * len(packed)))
    with torch.autocast(packed.device.type, enabled=False):
        for part in packed.split(together, 1):
            pixels = (part[:, :, None] >> bits & 1).flatten(1).float()
            shared += pixels @ pixels.T  # whole numbers, of which float32 has enough for a part
    areas = shared.diagonal()
    return (shared / (areas[:, None] + areas - shared).clamp_min(1)).cpu().numpy()


def occupied(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns of an (H, W) mask outside of which there is nothing."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


class VisibleParts:
    """What `visible.visible_parts` gives of some masklets, whose logits come a few at a time.

    The rows, (n,), say which of the logits are each masklet's; those named twice go to the first.
    """

    def __init__(self, rows: NDArray[np.int64], size_px: tuple[int, int]) -> None:
        self._size, self._count = size_px, len(rows)
        named, first = np.unique(rows, return_index=True)
        self._place = np.full(int(rows.max(initial=-1)) + 1, self._count)
        self._place[named] = first
        self._top: tuple[Tensor, Tensor] | None = None  # (H, W) largest logit, and whose it is

    def add(
        self,
        start: int,
        logits: Tensor,
        within: tuple[slice, slice] = WHOLE,
    ) -> None:
        """Take in logits (m, H, W), of which the first is number `start`.

        Outside of the rows and columns that they are within, none is positive.
        """
        places = self._place[start : start + len(logits)]
        kept = np.flatnonzero(places < self._count)
        if not len(kept):
            return
        if self._top is None:
            nobody = torch.full(self._size, self._count, dtype=torch.int32, device=logits.device)
            self._top = logits.new_zeros(self._size), nobody
        best, owner = (whole[within] for whole in self._top)
        logits = logits[:, *within]
        if len(kept) < len(logits):
            logits = logits[torch.from_numpy(kept).to(logits.device, non_blocking=True)]
        index = torch.from_numpy(places[kept].astype(np.int32))[:, None, None]
        index = index.to(logits.device, non_blocking=True)
        highest = logits.amax(0)
        # argmax promises nothing about ties, and prompts' logits are mostly equal on their frame
        place = torch.where(logits == highest, index, self._count).amin(0)
        tie = torch.where(highest == best, place.minimum(owner), owner)
        owner.copy_(torch.where(highest > best, place, tie))
        torch.maximum(best, highest, out=best)

    def owners(self, hidden: NDArray[np.bool_] | None = None) -> Tensor:
        """(H, W) int32 which of the n is seen at a pixel, n where none is.

        None is seen where something else hides it, (H, W).
        """
        if self._top is None:
            return torch.full(self._size, self._count, dtype=torch.int32)
        best, owner = self._top
        gone = best <= 0
        if hidden is not None:
            gone |= torch.from_numpy(hidden).to(gone.device, non_blocking=True)
        return owner.masked_fill(gone, self._count)


def parts_at_frame_size(logits: Tensor, size_px: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    """(k, 1, h, w) logits part by part: the number of the first, and (m, H, W) of them."""
    start = 0
    for part in in_parts(logits, size_px):
        yield start, at_frame_size(part, size_px)
        start += len(part)
