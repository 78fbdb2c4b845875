"""Objects that are tracked together: how they are put together, split, dropped and merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.drawing.frame_size import overlaps
from sam2vss_lib.masklets.engines.batched.memory.memories import Memories
from sam2vss_lib.masklets.sam2 import Sam2Model

#: objects per chunk on a CPU at least and at most: fewer leave its threads little to do at a time,
#: more are no faster
_CPU_SIZES = (8, 32)
_CPU_BYTES = 512 * 2**20  # memory that chunks of more than the least may take on a CPU
_CUDA_SIZE_LIMIT = 64  # a GPU is busy long before that


@dataclass
class Chunk:
    """Objects that run together."""

    objects: NDArray[np.int64]  # (n,) indices among the masks given
    lengths: NDArray[np.int64]  # (n,) how many frames each is followed
    memories: Memories  # of the n objects, and maybe of others behind them that are nothing

    def rows(self, index: slice | NDArray[np.int64]) -> Chunk:
        """Some of the objects."""
        picked = index if isinstance(index, slice) else torch.from_numpy(index)
        return Chunk(self.objects[index], self.lengths[index], self.memories.rows(picked))


def first_chunks(lengths: NDArray[np.int64], size: int) -> list[Chunk]:
    """All objects in chunks of at most `size`; those that end together run together.

    The chunks are even, so that none is left with few objects.
    """
    order = np.argsort(-lengths, kind="stable")
    parts = np.array_split(order, math.ceil(len(order) / size))
    return [Chunk(objects, lengths[objects], Memories()) for objects in parts]


def halves(chunk: Chunk) -> list[Chunk]:
    """A chunk of at least two objects in two."""
    half = (len(chunk.objects) + 1) // 2
    return [chunk.rows(slice(0, half)), chunk.rows(slice(half, None))]


def without(chunks: Sequence[Chunk], dropped: NDArray[np.bool_]) -> list[Chunk]:
    """Chunks without the objects that are dropped, (n,) over all masks given."""
    found: list[Chunk] = []
    for chunk in chunks:
        kept = np.flatnonzero(~dropped[chunk.objects])
        if len(kept):
            found.append(chunk if len(kept) == len(chunk.objects) else chunk.rows(kept))
    return found


def packed(chunks: Sequence[Chunk], size: int) -> list[Chunk]:
    """The same objects in as few chunks of at most `size` as there need be."""
    count = sum(len(chunk.objects) for chunk in chunks)
    needed = math.ceil(count / size)
    if len(chunks) <= needed:
        return list(chunks)
    whole = Chunk(
        np.concatenate([chunk.objects for chunk in chunks]),
        np.concatenate([chunk.lengths for chunk in chunks]),
        Memories.joined([chunk.rows(slice(len(chunk.objects))).memories for chunk in chunks]),
    )
    return [whole.rows(part) for part in np.array_split(np.arange(count), needed)]


def suitable_size(model: Sam2Model) -> int:
    """Objects per chunk that keep the device busy and fit its memory.

    A clip takes, at most and in bytes, beside the model and the frames on their way,

        B A + n M + (n + 2 c) H W / 8 + P

    with B objects per chunk, n of a window, and c candidates of its grid. A, `per_object` below, is
    what the model needs for an object, 220 MiB at 1024 px; M are an object's memories, 4 MiB there,
    and P are some five times the logits that are at the frame's size at once (`frame_size`): 2 MiB
    on a CPU and 1 GiB on a GPU, or one mask's 4 H W where that is more.
    """
    predictor = model.predictor
    pixels, side = predictor.sam_image_embedding_size**2, predictor.image_size
    tokens = pixels * predictor.num_maskmem
    # float32: keys, values and their copies; the masks and their first two downsampled maps
    per_object = 4 * (6 * tokens * predictor.hidden_dim + 12 * side**2)
    if model.device.type != "cuda":
        return int(np.clip(_CPU_BYTES // per_object, *_CPU_SIZES))
    free, _ = torch.cuda.mem_get_info(model.device)
    return int(np.clip(free // 2 // per_object, 1, _CUDA_SIZE_LIMIT))


def first_alike(packed: Tensor, iou: float) -> NDArray[np.int64]:
    """Which mask each is taken for, (n,): itself, or the first kept one that it overlaps enough.

    A grid of points proposes many an object more than once, a little differently; SAM2 then draws
    the tracks together within a few frames, and `merge_iou` follows them as one from there.

    The n masks are as `pack` gives them, the best first; from `iou` on two are taken for one. An
    index that stands at its own place is of a mask that is kept.
    """
    alike = overlaps(packed) >= iou
    found = np.arange(len(packed))
    for index in range(1, len(packed)):
        earlier = np.flatnonzero(alike[index, :index] & (found[:index] == np.arange(index)))
        if len(earlier):
            found[index] = earlier[0]
    return found
