"""Propagation of a window's objects: the engine, stock's predictor, and the legacy predictor."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.inputs import boxes, demo_by_legacy, demo_clip, official_architecture
from benchmarks.rows import Row, side_by_side
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engine.frames import encoded_frames
from sam2vss_lib.masklets.engine.tracker import WindowTracker
from sam2vss_lib.masklets.propagation import _quiet_sam2, propagate
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2

Masks = NDArray[np.bool_]


def run(*, quick: bool, repeats: int) -> Iterator[Row]:
    """Ratios at several numbers of objects; decoding and encoding of frames are part of both."""
    demo, frames = load_sam2("demo"), 4 if quick else 8
    yield from ratios(demo, frames, (1, 8, 24) if quick else (1, 8, 24, 64), repeats)
    if not quick:
        tiny = official_architecture("t", image_size=512)
        yield from ratios(tiny, 4, (1, 8, 24), repeats)


def ratios(model: Sam2Model, frames: int, counts: tuple[int, ...], repeats: int) -> Iterator[Row]:
    legacy = demo_by_legacy(model) if model.name == "demo" else None
    with demo_clip(frames) as dataset:
        (clip,) = dataset
        for count in counts:
            masks = boxes(count, clip.size)
            facts: dict[str, Any] = {
                "section": "propagation",
                "case": f"{model.name}, {count} objects",
                "repeats": repeats,
                "objects": count,
                "frames": frames,
                "object_frames": count * frames,
                "image_encodings": frames,
            }
            yield side_by_side(
                lambda masks=masks: by_engine(model, clip, masks),
                lambda masks=masks: by_stock(model, clip, masks),
                other="SAM2VideoPredictor",
                **facts,
            )
            if legacy is not None:
                yield side_by_side(
                    lambda masks=masks: by_engine(model, clip, masks),
                    lambda masks=masks: by_legacy(legacy, clip, masks),
                    other="legacy predictor",
                    **facts,
                )


def by_engine(model: Sam2Model, clip: Clip, masks: Masks) -> list[Masks]:
    """(n, H, W) masks of every frame."""
    frames = encoded_frames(clip, model, (), batch_frames=2)
    tracker = WindowTracker(model)
    parts = tracker.track(lambda _offset: next(frames).video, masks, clip.num_frames)
    return [(part.logits > 0).cpu().numpy() for part in parts]


def by_stock(model: Sam2Model, clip: Clip, masks: Masks) -> list[Masks]:
    """The same by stock."""
    paths = [clip.frame_path(index) for index in range(clip.num_frames)]
    return [(part.logits > 0).cpu().numpy() for part in propagate(model, paths, masks)]


def by_legacy(model: Sam2Model, clip: Clip, masks: Masks) -> list[Masks]:
    """The same by the predictor that sam2 had before 1.1.0."""
    predictor = model.predictor
    with (
        TemporaryDirectory(prefix="sam2vss-bench-") as folder,
        _quiet_sam2(),
        torch.inference_mode(),
    ):
        for index in range(clip.num_frames):
            shutil.copyfile(clip.frame_path(index), Path(folder) / f"{index:06d}.jpg")
        state = predictor.init_state(folder)
        for index, mask in enumerate(masks):
            predictor.add_new_mask(state, frame_idx=0, obj_id=index, mask=mask)
        sys.modules[type(predictor).__module__].__dict__["tqdm"] = partial(tqdm, disable=True)
        steps = predictor.propagate_in_video(state)
        return [(logits[:, 0] > 0).cpu().numpy() for _, _, logits in steps]
