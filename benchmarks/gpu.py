"""Frames per second on a GPU at the paper's scale, and what share of the card that uses."""

import time
from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inputs import boxes, demo_clip, matrix_rate_flops, official_architecture
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.frames import encoded_frames
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_PAPER_FPS = "the paper reports 1.1-3.5 frames/s on an A100"


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """SAM2.1-tiny and -large architectures in bfloat16, 30 and 128 objects; nothing on CPUs."""
    if not torch.cuda.is_available():
        return
    frames, peak_rate = 8 if quick else 32, matrix_rate_flops(torch.device("cuda"), torch.bfloat16)
    with demo_clip(frames) as dataset:
        (clip,) = dataset
        for name in "t" if quick else "tl":
            model = official_architecture(name, image_size=1024, device="cuda")
            flops = flops_per_object_frame(model, clip, "bfloat16")
            for count in (30, 128):
                seconds = [track_s(model, clip, count, "bfloat16") for _ in range(repeats + 1)]
                best_s = min(seconds[1:])  # the first one warms up
                share = flops * count * frames / best_s / peak_rate
                yield Comparison(
                    "gpu",
                    f"{model.name}, bfloat16, {count} objects",
                    "",
                    "frames/s",
                    frames / best_s,
                    repeats=repeats,
                    objects=count,
                    frames=frames,
                    object_frames=count * frames,
                    image_encodings=frames,
                    ours_peak_mib=torch.cuda.max_memory_allocated() / 2**20,
                    note=f"{flops / 1e9:.1f} GFLOP per object-frame, {share:.1%} of the measured "
                    f"{peak_rate / 1e12:.0f} TFLOP/s; {_PAPER_FPS}",
                )


def track_s(model: Sam2Model, clip: Clip, count: int, precision: str) -> float:
    """Seconds from files to masks on the host, for `count` objects through a clip."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    tracker = WindowTracker(model, precision=precision)
    started = time.perf_counter()
    frames = encoded_frames(clip, model, (), batch_frames=8, precision=precision)
    masks = boxes(count, clip.size)
    for part in tracker.track(lambda _offset: next(frames).video, masks, clip.num_frames):
        (part.logits > 0).cpu()
    return time.perf_counter() - started


def flops_per_object_frame(model: Sam2Model, clip: Clip, precision: str) -> float:
    """Floating-point operations that one more object adds to a frame, averaged over the clip."""
    totals: list[int] = []
    for count in (1, 3):
        with FlopCounterMode(display=False) as counter:
            track_s(model, clip, count, precision)
        totals.append(counter.get_total_flops())
    return (totals[1] - totals[0]) / 2 / clip.num_frames
