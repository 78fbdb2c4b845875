"""Propagation of all objects of a window together, with the masks of sam2's own predictor."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.masklets.approximations import EXACT, Approximations
from sam2vss_lib.masklets.engines.batched.chunks import (
    Chunk,
    first_alike,
    first_chunks,
    halves,
    packed,
    suitable_size,
    without,
)
from sam2vss_lib.masklets.engines.batched.coverage import check_covered
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import (
    PackedMasks,
    at_frame_size,
    in_parts,
    pack,
    parts_at_frame_size,
)
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.given import GIVEN_LOGIT, given_logits, given_masks
from sam2vss_lib.masklets.engines.batched.heads import Heads
from sam2vss_lib.masklets.engines.batched.memory.memories import (
    Memories,
    Reach,
    filled_up,
)
from sam2vss_lib.masklets.engines.batched.memory.reader import MemoryReader
from sam2vss_lib.masklets.engines.batched.memory.writer import MemoryWriter
from sam2vss_lib.masklets.engines.batched.running import (
    as_it_is,
    compiled,
    fixed_size,
    model_to_run,
)
from sam2vss_lib.masklets.sam2 import Sam2Model

Masks: TypeAlias = NDArray[np.bool_] | PackedMasks
_log = logging.getLogger(__name__)


class TrackedFrame(NamedTuple):
    """The objects that are still followed on one frame of a window.

    The logits are at the model's own size, on its device; brought to the frame's, a pixel is of an
    object where they are > 0.
    """

    offset: int  # of the frame within the window, 0 is the anchor
    objects: NDArray[np.int64]  # (m,) indices among the masks given, ascending
    low: Tensor  # (k, 1, h, w) float32 logits
    rows: NDArray[np.int64]  # (m,) which are each object's: 0 to m - 1, unless some were merged
    presence: Tensor  # (k,) float32 logits of objects being present, on the model's device
    size_px: tuple[int, int]  # (H, W) of the frame

    @property
    def object_score(self) -> NDArray[np.float32]:
        """(m,) logit of each object being present, for which the device is waited for."""
        return self.presence.cpu().numpy()[self.rows]

    @property
    def logits(self) -> Tensor:
        """(k, H, W) logits at the frame's size, all at once."""
        return at_frame_size(self.low, self.size_px)


class WindowTracker:
    """Carries masks from a window's first frame on, many objects per call of the model.

    Attributes:
        model: the SAM2 model, to be run as the approximations say.
        max_objects_per_batch: objects that run together at most, a number that suits the device
            where none is given; halved whenever the device runs out of memory.
        halvings: how often that has happened.
    """

    def __init__(
        self,
        model: Sam2Model,
        *,
        max_objects_per_batch: int | None = None,
        precision: str = "float32",
        approximations: Approximations = EXACT,
    ) -> None:
        """Prepare what is the same for all windows; `precision` is of autocast.

        Raises:
            SettingsError: the configuration has an option that is not covered here, or the number
                is below 1.
        """
        if max_objects_per_batch is not None and max_objects_per_batch < 1:
            raise SettingsError("max_objects_per_batch: must be at least 1")
        self.model = model_to_run(model, approximations)
        self._precision = precision
        predictor = self.model.predictor
        check_covered(model.name, predictor)
        self._merge_iou = approximations.merge_iou
        self._reach = Reach(predictor, approximations)
        self._fixed_sizes = approximations.compile_step
        compiles = compiled if approximations.compile_step else as_it_is
        with torch.inference_mode():
            self._reader = MemoryReader(predictor, self._reach, compiles)
            self._writer = MemoryWriter(predictor, compiles)
            self._heads = Heads(predictor, compiles)
        self.max_objects_per_batch = max_objects_per_batch or suitable_size(self.model)
        self.halvings = 0

    def age_unit(self, num_frames: int) -> int:
        """What a track depends on of its window's length.

        SAM2 divides the ages of object pointers by the length of the window, up to a limit. So
        from one anchor, the tracks of two windows agree on the frames they share if and only if
        their age units are equal; a window of one frame agrees with any.
        """
        predictor = self.model.predictor
        if not (predictor.use_obj_ptrs_in_encoder and predictor.add_tpos_enc_to_obj_ptrs):
            return 0
        return min(num_frames, predictor.max_obj_ptrs_in_encoder) - 1

    def track(
        self,
        features: Callable[[int], EncodedFrames],
        masks: Masks,
        lengths: NDArray[np.int64] | int,
    ) -> Iterator[TrackedFrame]:
        """Carry masks from a window's first frame to the last that any object asks for.

        `features` gives a frame by its offset, in the resizing "video". Frames are asked for once
        each and in order, and are not kept: memory grows with the number of objects, not with the
        length of a window. Masks are (n, H, W) on the first frame, n > 0, which comes out again;
        packed ones are unpacked a few at a time. An object is followed for its length in frames,
        (n,) or one for all, at least 1, and runs as it would in a window of it (see `age_unit`).

        Raises:
            RunError: the device has too little memory for a single object.
            ValueError: objects are to be merged, and have different lengths.
        """
        lengths = np.broadcast_to(np.asarray(lengths, np.int64), len(masks))
        if self._merge_iou is not None and (lengths != lengths[0]).any():
            raise ValueError("objects that are merged must all be followed to the same frame")
        leaders = np.arange(len(masks))  # the object that each is followed as
        chunks = first_chunks(lengths, self.max_objects_per_batch)
        for offset in range(lengths.max()):
            chunks = without(chunks, lengths <= offset)
            with torch.inference_mode(), self.model.autocast(self._precision):
                followed, low, scores, chunks = self._frame(offset, features(offset), masks, chunks)
            objects = np.flatnonzero(lengths > offset)
            rows = np.searchsorted(followed, leaders[objects])
            height, width = masks.shape[1:]
            yield TrackedFrame(offset, objects, low, rows, scores, (height, width))
            if self._merge_iou is not None:
                taken_for = np.arange(len(masks))
                parts = parts_at_frame_size(low, masks.shape[1:])
                drawn = torch.cat([pack((logits > 0).flatten(1)) for _, logits in parts])
                taken_for[followed] = followed[first_alike(drawn, self._merge_iou)]
                leaders = taken_for[leaders]
                chunks = without(chunks, taken_for != np.arange(len(masks)))
                chunks = packed(chunks, self.max_objects_per_batch)

    def _frame(
        self, offset: int, features: EncodedFrames, masks: Masks, chunks: Sequence[Chunk]
    ) -> tuple[NDArray[np.int64], Tensor, Tensor, list[Chunk]]:
        """All chunks on one frame: objects, low logits, scores, and the chunks afterwards."""
        waiting, done, logits, scores = list(chunks), [], [], []
        while waiting:
            chunk = waiting.pop(0)
            if len(chunk.objects) > self.max_objects_per_batch:
                waiting[:0] = halves(chunk)
                continue
            try:
                low, score, memories = self._step(offset, features, masks, chunk)
            except torch.OutOfMemoryError:
                self._halve(len(chunk.objects))
                waiting.insert(0, chunk)
                continue
            logits.append(low)
            scores.append(score[:, 0].float())
            done.append(Chunk(chunk.objects, chunk.lengths, memories))
        objects = np.concatenate([chunk.objects for chunk in done])
        order = np.argsort(objects)
        found, present = torch.cat(logits), torch.cat(scores)
        if (order != np.arange(len(order))).any():
            index = torch.from_numpy(order).to(found.device, non_blocking=True)
            found, present = found[index], present[index]
        return objects[order], found, present, done

    def _step(
        self, offset: int, features: EncodedFrames, masks: Masks, chunk: Chunk
    ) -> tuple[Tensor, Tensor, Memories]:
        """One chunk on one frame: (n, 1, S/4, S/4) logits, (n, 1) scores, memories.

        Where sizes are fixed, memories are of more objects than the chunk has, the last ones of
        nothing.
        """
        last, count = bool((chunk.lengths <= offset + 1).all()), len(chunk.objects)
        size = fixed_size(count) if self._fixed_sizes else count
        memories = chunk.memories
        if offset == 0:
            some = in_parts(torch.from_numpy(chunk.objects), masks.shape[1:])
            given = [given_masks(masks[part.numpy()], self.model.predictor) for part in some]
            given = filled_up(torch.cat(given), size)
            low = given_logits(given)
            scores = (given.flatten(1).any(1, keepdim=True) * 2.0 - 1.0) * GIVEN_LOGIT
            pointers = None if last else self._heads.pointers_of_masks(given, features)
        else:
            memories = memories.filled_up(size)
            age_units = torch.ones(size)
            age_units[:count] = torch.tensor([float(self.age_unit(n)) for n in chunk.lengths])
            age_units = age_units.to(self.model.device, non_blocking=True)  # waits for nothing
            image = self._reader.read(offset, features.s16, memories, age_units)
            low, pointers, scores = self._heads.decode(image, features)
        if not last and pointers is not None:
            maps = None
            if self._reach.remembers(offset):
                maps = self._writer.write(features.s16, low, scores > 0, given=offset == 0)
            memories = memories.with_frame(offset, maps, pointers, self._reach)
        return low[:count], scores[:count], memories

    def _halve(self, size: int) -> None:
        if size == 1:
            raise RunError(
                f"device {self.model.device}: too little memory to follow a single object; use a "
                "smaller model, or a device with more memory"
            ) from None
        self.max_objects_per_batch, self.halvings = size // 2, self.halvings + 1
        _log.warning("out of memory: %d objects per batch from now on", size // 2)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
