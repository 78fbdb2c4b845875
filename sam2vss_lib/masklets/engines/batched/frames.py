"""Frames of a clip, decoded in the background and encoded some at a time."""

from collections import deque
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.errors import RunError
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.engines.batched.resizing import pillows_order
from sam2vss_lib.masklets.sam2 import Sam2Model

_BATCH_FRAMES = {"cpu": 2, "cuda": 8}  # frames encoded together
_GPU_THREADS = 4  # that decode frames for a GPU


@dataclass(frozen=True)
class Frame:
    """One frame on its way through the engine."""

    index: int  # in the clip
    video: EncodedFrames  # features that propagation reads
    image: EncodedFrames | None  # features that proposals read; None where the frame is no anchor


@dataclass(frozen=True)
class _Inputs:
    index: int
    video: Tensor  # as `encode` takes it
    anchor: NDArray[np.uint8] | Tensor | None  # the frame, or what the encoder gets of it


def encoded_frames(
    clip: Clip,
    model: Sam2Model,
    anchors: Collection[int],
    *,
    batch_frames: int | None = None,
    precision: str = "float32",
    share_anchors: bool = False,
    wanted: range | None = None,
) -> Generator[Frame]:
    """Every frame of a clip in order, encoded once, and anchors once more as stock proposes.

    Only those that are wanted are read, where some are.

    Anchors are the indices of frames at which there will be proposals; shared ones are encoded once
    only, so that both features of theirs are the same. `batch_frames` are encoded together, a
    number that suits the device where none is given, and as many decoded ahead of them: at most
    twice as many are held, whatever the length of the clip.

    Raises:
        DataError: a frame cannot be read or has another size.
    """
    twice = () if share_anchors else anchors
    batch_frames = batch_frames or _BATCH_FRAMES.get(model.device.type, 1)
    indices = range(clip.num_frames) if wanted is None else wanted
    waiting = _decoded(clip, indices, model, twice, ahead=batch_frames)
    with closing(waiting):
        while batch := list(islice(waiting, batch_frames)):
            features = _encoded(model, [inputs.video for inputs in batch], precision)
            videos = {inputs.index: features.frame(n) for n, inputs in enumerate(batch)}
            images = {index: video for index, video in videos.items() if index in anchors}
            again = {
                inputs.index: inputs.anchor
                if isinstance(inputs.anchor, Tensor)
                else model_input(inputs.anchor, model.predictor.image_size, "image")
                for inputs in batch
                if inputs.anchor is not None
            }
            if again:  # by themselves, as stock has them: another batch may round differently
                apart = _encoded(model, [*again.values()], precision)
                images |= {index: apart.frame(n) for n, index in enumerate(again)}
            for index, video in videos.items():
                yield Frame(index, video, images.get(index))


def _encoded(model: Sam2Model, inputs: Sequence[Tensor], precision: str) -> EncodedFrames:
    """Encode frames together, or some at a time where the device has too little memory."""
    try:
        return encode(model, inputs, precision=precision)
    except torch.OutOfMemoryError:
        if len(inputs) == 1:
            raise RunError(
                f"device {model.device}: too little memory to encode a single frame; use a "
                "smaller model, or a device with more memory"
            ) from None
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
    half = (len(inputs) + 1) // 2
    parts = [_encoded(model, some, precision) for some in (inputs[:half], inputs[half:])]
    return EncodedFrames(*map(torch.cat, zip(*parts, strict=True)))


def _decoded(
    clip: Clip, indices: range, model: Sam2Model, twice: Collection[int], *, ahead: int
) -> Generator[_Inputs]:
    """Model inputs in order while threads prepare `ahead` more.

    On a CPU a thread leaves torch alone, for the reason that `model_input` gives. A GPU gets frames
    as they are, wherever it can resize them.
    """
    side_px, on_cpu = model.predictor.image_size, model.device.type == "cpu"
    there = not on_cpu and pillows_order(clip.size, side_px) is not None
    pin = torch.cuda.is_available()  # memory from which a GPU copies while it computes

    def prepare(index: int) -> _Inputs:
        frame = clip.frame(index)
        video = torch.from_numpy(frame) if there else model_input(frame, side_px, "video")
        anchor = None
        if index in twice:
            anchor = frame if on_cpu else model_input(frame, side_px, "image")
        return _Inputs(index, video.pin_memory() if pin and not on_cpu else video, anchor)

    with ThreadPoolExecutor(1 if on_cpu else _GPU_THREADS, "frames") as pool:
        waiting: deque[Future[_Inputs]] = deque()
        try:
            for index in indices:
                waiting.append(pool.submit(prepare, index))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error, or when the caller stops early
            for future in waiting:
                future.cancel()
