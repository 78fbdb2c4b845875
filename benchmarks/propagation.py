"""Propagation of a window's objects: the engine, stock's predictor, and the legacy predictor."""

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm

from benchmarks.agreement import Masks, mean_iou
from benchmarks.inputs import boxes, demo_clip, legacy_of, official_architecture
from benchmarks.rows import side_by_side
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.frames import encoded_frames
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.engines.stock.propagation import _quiet_sam2, propagate
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

Run = Callable[[], list[Masks]]
_COUNTS = (1, 8, 24, 64)


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """Ratios at several numbers of objects; decoding and encoding of frames are part of both."""
    demo = load_sam2("demo")
    if quick:
        yield from ratios(demo, 4, (1, 8, 24), repeats)
        return
    yield from ratios(demo, 8, _COUNTS, repeats)
    # stock takes minutes for 64 objects of this size: few frames, one run; one object warms up
    tiny = official_architecture("t", image_size=512)
    yield from ratios(tiny, 4, _COUNTS[:1], 2)
    yield from ratios(tiny, 4, _COUNTS[1:], 1, warm_up=False)


def ratios(
    model: Sam2Model,
    frames: int,
    counts: tuple[int, ...],
    repeats: int,
    *,
    warm_up: bool = True,
) -> Iterator[Comparison]:
    """Rows beside stock and beside the legacy predictor, for every number of objects."""
    legacy = legacy_of(model)
    with demo_clip(frames) as dataset:
        (clip,) = dataset
        for count in counts:
            masks = boxes(count, clip.size)
            others: dict[str, Run] = {"SAM2VideoPredictor": partial(by_stock, model, clip, masks)}
            if legacy is not None:
                others["legacy predictor"] = partial(by_legacy, legacy, clip, masks)
            yield from side_by_side(
                partial(by_engine, model, clip, masks),
                others,
                repeats=repeats,
                warm_up=warm_up,
                mean_iou=mean_iou,
                least_ratio=2 if model.name == "demo" and count == 24 else None,
                section="propagation",
                case=f"{model.name}, {count} object{'s' * (count > 1)}",
                objects=count,
                frames=frames,
                object_frames=count * frames,
                image_encodings=frames,
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
