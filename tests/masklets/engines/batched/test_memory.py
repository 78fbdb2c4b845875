"""What the engine holds at once depends on windows and batches, not on the length of a clip."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched import clip as engine_clip
from sam2vss_lib.masklets.engines.batched import frames as engine_frames
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import PackedMasks
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.frames import encoded_frames
from sam2vss_lib.masklets.engines.batched.tracker import TrackedFrame, WindowTracker
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.common import LOOSE, METADATA


def long_clip(root: Path, frames: int) -> Clip:
    """One picture, many times."""
    clip = Clip("long", root, tuple(f"{i:08d}.png" for i in range(frames)))
    first = clip.frame_path(0)
    first.parent.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(first)
    for index in range(1, frames):
        clip.frame_path(index).symlink_to(first)
    return clip


class Alive:
    """Counts the tensors it was shown that are still held by anyone."""

    def __init__(self) -> None:
        self._seen: list[weakref.ref[Any]] = []
        self.shown = self.most = 0

    def show(self, item: Any) -> None:
        self._seen = [ref for ref in self._seen if ref() is not None] + [weakref.ref(item)]
        self.shown += 1
        self.most = max(self.most, len(self._seen))

    def __len__(self) -> int:
        gc.collect()
        return sum(ref() is not None for ref in self._seen)


@pytest.mark.parametrize("batch", [1, 3])
def test_frames_held_do_not_grow_with_the_clip(
    demo_model: Sam2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    inputs, batches = Alive(), Alive()

    def prepare(*_arguments: Any) -> torch.Tensor:
        x = torch.zeros(3, 8, 8)
        inputs.show(x)
        return x

    def encode(model: Sam2Model, tensors: list[torch.Tensor], *, precision: str) -> EncodedFrames:
        x = torch.zeros(len(tensors), 1, 8, 8)
        batches.show(x)
        return EncodedFrames(x, x, x)

    monkeypatch.setattr(engine_frames, "model_input", prepare)
    monkeypatch.setattr(engine_frames, "encode", encode)
    most = []
    for frames in (16, 96):
        inputs.most = batches.most = 0
        clip = long_clip(tmp_path / str(frames), frames)
        anchors = set(range(0, frames, 4))
        # a slow reader: the background thread has time to run ahead as far as it may
        indices = [f.index for f in encoded_frames(clip, demo_model, anchors, batch_frames=batch)]
        assert indices == list(range(frames))
        assert len(inputs) == len(batches) == 0
        most.append((inputs.most, batches.most))
    assert inputs.shown == 16 + 96 + 4 + 24
    # twice a batch and the one being decoded, each at most in both resizings
    assert max(most)[0] <= 2 * (2 * batch + 2)
    assert max(most)[1] <= 2 * 2  # likewise: a batch is encoded in one resizing and in the other


@pytest.mark.parametrize("frames", [8, 40])
def test_windows_are_released_when_done(
    demo_model: Sam2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    parts, windows = Alive(), Alive()
    open_window: Callable[..., Any] = engine_clip._open_window

    def opened(*arguments: Any) -> Any:
        window = open_window(*arguments)
        windows.show(window)
        return window

    def track(
        self: WindowTracker, features: Any, masks: PackedMasks, lengths: np.ndarray
    ) -> Iterator[TrackedFrame]:
        for offset in range(lengths.max()):
            objects = np.flatnonzero(lengths > offset)
            logits = torch.from_numpy(masks[objects])[:, None].float() - 0.5
            parts.show(logits)
            rows, scores = np.arange(len(objects)), torch.zeros(len(objects))
            yield TrackedFrame(offset, objects, logits, rows, scores, masks.size_px)

    monkeypatch.setattr(engine_clip, "_open_window", opened)
    monkeypatch.setattr(WindowTracker, "track", track)
    # two lengths at once: a window of 4 and those of 2 that start with it and within it
    sweep = [
        MaskletSettings.model_validate({**LOOSE.model_dump(), "engine": "batched", "window": n})
        for n in (4, 2)
    ]
    clip, store = long_clip(tmp_path / "data", frames), MaskletStore(tmp_path / "store")
    other = MaskletStore(tmp_path / "other")
    metadata = {**METADATA, "clip": clip.name, "frames": frames}
    with (
        store.writer(clip.name, metadata) as first,
        other.writer(clip.name, metadata) as second,
    ):
        writers = dict(zip(sweep, (first, second), strict=True))
        engine_clip.write_clip(clip, writers, WindowTracker(demo_model))
        assert first.rows > 0
    assert windows.shown == frames // 2
    assert len(parts) == len(windows) == 0
    # the window of 4, one of 2 within it, and one that is about to take a place
    assert windows.most <= 3
    assert parts.most <= 2 * 2  # of each open window the frame at hand and the one before
