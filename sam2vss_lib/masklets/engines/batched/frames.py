"""Frames of a clip, decoded in the background and encoded some at a time."""

from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.sam2 import Sam2Model

_BATCH_FRAMES = {"cpu": 2, "cuda": 8}  # frames encoded together


@dataclass(frozen=True)
class Frame:
    """One frame on its way through the engine."""

    index: int  # in the clip
    video: EncodedFrames  # features that propagation reads
    image: EncodedFrames | None  # features that proposals read; None where the frame is no anchor


@dataclass(frozen=True)
class _Inputs:
    index: int
    video: Tensor
    anchor: NDArray[np.uint8] | None  # the frame itself, which is resized once more


def encoded_frames(
    clip: Clip,
    model: Sam2Model,
    anchors: Collection[int],
    *,
    batch_frames: int | None = None,
    precision: str = "float32",
    share_anchors: bool = False,
    wanted: range | None = None,
) -> Iterator[Frame]:
    """Every frame of a clip in order, encoded once, and anchors once more as stock proposes.

    Only those that are wanted are read, where some are.

    Anchors are the indices of frames at which there will be proposals; shared ones are encoded once
    only, so that both features of theirs are the same. `batch_frames` are encoded together, a
    number that suits the device where none is given, and as many decoded ahead of them: at most
    twice as many are held, whatever the length of the clip.

    Raises:
        DataError: a frame cannot be read or has another size.
    """
    twice, side_px = () if share_anchors else anchors, model.predictor.image_size
    batch_frames = batch_frames or _BATCH_FRAMES.get(model.device.type, 1)
    indices = range(clip.num_frames) if wanted is None else wanted
    waiting = _decoded(clip, indices, side_px, twice, ahead=batch_frames)
    while batch := list(islice(waiting, batch_frames)):
        features = encode(model, [inputs.video for inputs in batch], precision=precision)
        videos = {inputs.index: features.frame(n) for n, inputs in enumerate(batch)}
        images = {index: video for index, video in videos.items() if index in anchors}
        again = {
            inputs.index: model_input(inputs.anchor, side_px, "image")
            for inputs in batch
            if inputs.anchor is not None
        }
        if again:  # by themselves, as stock has them: another batch may round differently
            apart = encode(model, [*again.values()], precision=precision)
            images |= {index: apart.frame(n) for n, index in enumerate(again)}
        for index, video in videos.items():
            yield Frame(index, video, images.get(index))


def _decoded(
    clip: Clip, indices: range, side_px: int, twice: Collection[int], *, ahead: int
) -> Iterator[_Inputs]:
    """Model inputs in order while a thread, which must leave torch alone, prepares `ahead` more."""

    def prepare(index: int) -> _Inputs:
        frame = clip.frame(index)
        video = model_input(frame, side_px, "video")
        return _Inputs(index, video, frame if index in twice else None)

    with ThreadPoolExecutor(1, "frames") as pool:
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
