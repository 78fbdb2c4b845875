"""Propagation of all objects of a window together, with the masks of sam2's own predictor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.masklets.engine.encoder import EncodedFrames
from sam2vss_lib.masklets.engine.heads import Heads
from sam2vss_lib.masklets.engine.memory import Memories, MemoryReader, Reach
from sam2vss_lib.masklets.engine.memory_writer import MemoryWriter
from sam2vss_lib.masklets.sam2 import Sam2Model

#: objects per batch on a CPU: larger batches are no faster there, and fall out of its caches
_CPU_BATCH = 8
_CUDA_BATCH_LIMIT = 64  # a GPU is busy long before that
_GIVEN_LOGIT = 10.0  # stock's logit of a mask that was given: plus or minus this
_log = logging.getLogger(__name__)


class TrackedFrame(NamedTuple):
    """The objects that are still followed on one frame of a window.

    Attributes:
        offset: frame within the window, 0 is the anchor.
        objects: (m,) indices of the objects among the masks given, ascending.
        logits: (m, H, W) float32 on the model's device; a pixel is of an object where > 0.
        object_score: (m,) float32 logit of the object being present.
    """

    offset: int
    objects: NDArray[np.int64]
    logits: Tensor
    object_score: NDArray[np.float32]


@dataclass
class _Chunk:
    """Objects that run together."""

    objects: NDArray[np.int64]
    lengths: NDArray[np.int64]
    memories: Memories

    def rows(self, index: slice | NDArray[np.int64]) -> _Chunk:
        picked = index if isinstance(index, slice) else torch.from_numpy(index)
        return _Chunk(self.objects[index], self.lengths[index], self.memories.rows(picked))


class WindowTracker:
    """Carries masks from a window's first frame on, many objects per call of the model.

    Attributes:
        max_objects_per_batch: objects that run together at most; halved whenever the device runs
            out of memory.
        halvings: how often that has happened.
    """

    def __init__(
        self,
        model: Sam2Model,
        *,
        max_objects_per_batch: int | None = None,
        precision: str = "float32",
    ) -> None:
        """Prepare what is the same for all windows.

        Args:
            model: the SAM2 model.
            max_objects_per_batch: None takes a number that suits the device.
            precision: "float32" or "bfloat16" (autocast).

        Raises:
            SettingsError: the configuration has an option that is not covered here, or the number
                is below 1.
        """
        if max_objects_per_batch is not None and max_objects_per_batch < 1:
            raise SettingsError("max_objects_per_batch: must be at least 1")
        self._model, self._precision = model, precision
        predictor = model.predictor
        _check_covered(model.name, predictor)
        self._reach = Reach(predictor)
        with torch.inference_mode():
            self._reader = MemoryReader(predictor, self._reach)
            self._writer = MemoryWriter(predictor)
            self._heads = Heads(predictor)
        self.max_objects_per_batch = max_objects_per_batch or _suitable_batch(model)
        self.halvings = 0

    def span(self, num_frames: int) -> int:
        """What a track depends on of its window's length.

        SAM2 divides the ages of object pointers by the length of the window, up to a limit. So
        from one anchor, the tracks of two windows agree on the frames they share if and only if
        their spans are equal; a window of one frame agrees with any.
        """
        predictor = self._model.predictor
        if not (predictor.use_obj_ptrs_in_encoder and predictor.add_tpos_enc_to_obj_ptrs):
            return 0
        return min(num_frames, predictor.max_obj_ptrs_in_encoder) - 1

    def track(
        self,
        features: Callable[[int], EncodedFrames],
        masks: NDArray[np.bool_],
        lengths: NDArray[np.int64] | int,
    ) -> Iterator[TrackedFrame]:
        """Carry masks from a window's first frame to the last that any object asks for.

        Frames are asked for once each and in order, and are not kept: memory grows with the number
        of objects, not with the length of a window. Each object runs as it would in a window of
        its own length (see `span`).

        Args:
            features: gives a frame of the window by its offset, in the resizing "video".
            masks: (n, H, W) masks on the first frame, n > 0.
            lengths: (n,) or one for all: how many frames an object is followed, at least 1.

        Yields:
            One `TrackedFrame` per frame, the first included.

        Raises:
            RunError: the device has too little memory for a single object.
        """
        lengths = np.broadcast_to(np.asarray(lengths, np.int64), len(masks))
        order = np.argsort(-lengths, kind="stable")  # objects that end together run together
        chunks = [
            _Chunk(objects, lengths[objects], Memories())
            for objects in np.split(order, range(0, len(order), self.max_objects_per_batch)[1:])
        ]
        for offset in range(lengths.max()):
            chunks = _still_followed(chunks, offset)
            with torch.inference_mode(), self._model.autocast(self._precision):
                found, chunks = self._frame(offset, features(offset), masks, chunks)
            yield found

    def _frame(
        self,
        offset: int,
        features: EncodedFrames,
        masks: NDArray[np.bool_],
        chunks: Sequence[_Chunk],
    ) -> tuple[TrackedFrame, list[_Chunk]]:
        """All chunks on one frame, and the chunks as they are afterwards."""
        waiting, done = list(chunks), []
        logits, scores = [], []
        while waiting:
            chunk = waiting.pop(0)
            if len(chunk.objects) > self.max_objects_per_batch:
                waiting[:0] = _halves(chunk)
                continue
            try:
                low, score, memories = self._step(offset, features, masks, chunk)
                logits.append(_resize(low, masks.shape[1:])[:, 0])
            except torch.OutOfMemoryError:
                self._halve(len(chunk.objects))
                waiting.insert(0, chunk)
                continue
            scores.append(score[:, 0].float())
            done.append(_Chunk(chunk.objects, chunk.lengths, memories))
        objects = np.concatenate([chunk.objects for chunk in done])
        order = np.argsort(objects)
        found = torch.cat(logits), torch.cat(scores).cpu().numpy()[order]
        if (order != np.arange(len(order))).any():
            found = found[0][torch.from_numpy(order)], found[1]
        return TrackedFrame(offset, objects[order], *found), done

    def _step(
        self, offset: int, features: EncodedFrames, masks: NDArray[np.bool_], chunk: _Chunk
    ) -> tuple[Tensor, Tensor, Memories]:
        """One chunk on one frame: (n, 1, S/4, S/4) logits, (n, 1) scores, memories."""
        last = bool((chunk.lengths <= offset + 1).all())
        if offset == 0:
            given = self._given_masks(masks[chunk.objects])
            low = _given_logits(given)
            scores = (given.flatten(1).any(1, keepdim=True) * 2.0 - 1.0) * _GIVEN_LOGIT
            pointers = None if last else self._heads.pointers_of_masks(given, features)
        else:
            spans = torch.tensor([float(self.span(n)) for n in chunk.lengths])
            image = self._reader.read(
                offset, features.s16, chunk.memories, spans.to(self._model.device)
            )
            low, pointers, scores = self._heads.decode(image, features)
        if last or pointers is None:
            return low, scores, chunk.memories
        maps = self._writer.write(features.s16, low, scores > 0, given=offset == 0)
        memories = chunk.memories.with_frame(offset, maps, pointers, self._reach)
        return low, scores, memories

    def _given_masks(self, masks: NDArray[np.bool_]) -> Tensor:
        """(n, H, W) masks to (n, 1, S, S) float32 of zeros and ones."""
        size = (self._model.predictor.image_size,) * 2
        x = torch.from_numpy(masks)[:, None].to(self._model.device).float()
        if x.shape[-2:] == size:
            return x
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
        return (x >= 0.5).float()

    def _halve(self, size: int) -> None:
        if size == 1:
            raise RunError(
                f"device {self._model.device}: too little memory to follow a single object; use a "
                "smaller model, or a device with more memory"
            ) from None
        self.max_objects_per_batch, self.halvings = size // 2, self.halvings + 1
        _log.warning("out of memory: %d objects per batch from now on", size // 2)
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()


def _given_logits(given: Tensor) -> Tensor:
    """(n, 1, S, S) masks to (n, 1, S/4, S/4) logits."""
    size = (given.shape[-2] // 4, given.shape[-1] // 4)
    x = given * (2 * _GIVEN_LOGIT) - _GIVEN_LOGIT
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)


def _resize(logits: Tensor, size: Sequence[int]) -> Tensor:
    if logits.shape[-2:] == tuple(size):
        return logits
    return F.interpolate(logits, size=list(size), mode="bilinear", align_corners=False)


def _still_followed(chunks: Sequence[_Chunk], offset: int) -> list[_Chunk]:
    """Chunks without the objects whose time is over."""
    found = []
    for chunk in chunks:
        alive = np.flatnonzero(chunk.lengths > offset)
        if len(alive):
            found.append(chunk if len(alive) == len(chunk.objects) else chunk.rows(alive))
    return found


def _halves(chunk: _Chunk) -> list[_Chunk]:
    half = (len(chunk.objects) + 1) // 2
    return [chunk.rows(slice(0, half)), chunk.rows(slice(half, None))]


def _suitable_batch(model: Sam2Model) -> int:
    """Objects per batch that fit the device's caches or memory."""
    if model.device.type != "cuda":
        return _CPU_BATCH
    predictor = model.predictor
    pixels, side = predictor.sam_image_embedding_size**2, predictor.image_size
    tokens = pixels * predictor.num_maskmem
    # float32: keys, values and their copies; the masks and their first two downsampled maps
    per_object = 4 * (6 * tokens * predictor.hidden_dim + 12 * side**2)
    free, _ = torch.cuda.mem_get_info(model.device)
    return int(np.clip(free // 2 // per_object, 1, _CUDA_BATCH_LIMIT))


def _check_covered(name: str, predictor: Any) -> None:
    """Every official configuration is; a file of the user's own may not be."""
    wanted = {
        "use_mask_input_as_output_without_sam": predictor.use_mask_input_as_output_without_sam,
        "use_obj_ptrs_in_encoder": predictor.use_obj_ptrs_in_encoder,
        "num_maskmem > 0": predictor.num_maskmem > 0,
        "fill_hole_area = 0": predictor.fill_hole_area <= 0,
        "non_overlap_masks = false": not predictor.non_overlap_masks,
        "memory_attention.batch_first": predictor.memory_attention.batch_first,
    }
    for option, present in wanted.items():
        if not present:
            raise SettingsError(
                f"{name}: the batched engine needs {option} in the model's configuration; "
                "use engine: stock"
            )
