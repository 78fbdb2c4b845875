"""Where the engine and stock part: both keep memories in bfloat16, whose last bit may flip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from sam2 import sam2_video_predictor

from benchmarks.inputs import boxes, demo_clip
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engine import memory_writer
from sam2vss_lib.masklets.engine.frames import encoded_frames
from sam2vss_lib.masklets.engine.tracker import WindowTracker
from sam2vss_lib.masklets.propagation import propagate
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.study.cost_benchmarks import Row


class _TorchOfFloat32:
    """torch, but who rounds to bfloat16 gets float32."""

    bfloat16 = torch.float32

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def run(*, quick: bool) -> Iterator[Row]:
    """The largest difference of logits, memories as stock keeps them and in float32 in both."""
    model, count, frames = load_sam2("demo"), 3, 3 if quick else 16
    with demo_clip(frames) as dataset:
        for kept in ("bfloat16", "float32"):
            with ExitStack() as stack:
                if kept == "float32":
                    for module in (sam2_video_predictor, memory_writer):
                        stack.enter_context(patch.object(module, "torch", _TorchOfFloat32()))
                largest = _largest_differences(model, dataset.clips[0], count)
            yield Row(
                "equality",
                f"demo, {count} boxes, {frames} frames, memories kept in {kept}",
                "SAM2VideoPredictor",
                "logit",
                max(largest),
                objects=count,
                frames=frames,
                note="largest difference of logits, by frame: "
                + ", ".join(f"{difference:.1e}" for difference in largest),
            )


def _largest_differences(model: Sam2Model, clip: Clip, count: int) -> list[float]:
    """Of the logits of all pixels and objects, frame by frame."""
    masks = boxes(count, clip.size)
    frames = encoded_frames(clip, model, (), batch_frames=2)
    ours = WindowTracker(model).track(lambda _offset: next(frames).video, masks, clip.num_frames)
    paths = [clip.frame_path(index) for index in range(clip.num_frames)]
    pairs = zip(ours, propagate(model, paths, masks), strict=True)
    return [float((a.logits - b.logits).abs().max()) for a, b in pairs]
