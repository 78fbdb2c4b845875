"""What share of the card's own rate of matrix products the model reaches."""

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.cases import Case, Scale, clips, model, objects_of, wait_for, watched
from benchmarks.inputs import boxes, matrix_rate_flops
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.frames import encoded_frames
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison


def of_matrix_rate(scale: Scale) -> Iterator[Case]:
    """Encoding and following, from files to masks on the host; rows and Parquet aside."""

    def rows(name: str, count: int) -> Iterator[Comparison]:
        sam2, precision = model(name, scale.device), scale.precision
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with clips(scale, scale.frames) as dataset:
            (clip,) = dataset
            one, two = (flops(sam2, clip, objects, precision) for objects in (1, 2))
            track_s(sam2, clip, count, precision)  # warms up
            with watched(scale.device) as took:
                track_s(sam2, clip, count, precision)
        peak = matrix_rate_flops(scale.device, dtype)
        rate = (one + (two - one) * (count - 1)) / took.seconds
        power = "" if took.power_w is None else f", {took.power_w:.0f} W"
        yield Comparison(
            "gpu",
            f"{sam2.name}, {precision}, {objects_of(count)}: rate of the model",
            "a large matrix product",
            "TFLOP/s",
            rate / 1e12,
            peak / 1e12,
            objects=count,
            frames=scale.frames,
            object_frames=count * scale.frames,
            image_encodings=scale.frames,
            ours_peak_mib=took.peak_mib,
            note=f"{rate / peak:.1%} of it, {scale.frames / took.seconds:.1f} frames/s{power}",
            details={"share": rate / peak} | ({} if took.power_w is None else {"W": took.power_w}),
        )

    for name in scale.models:
        for count in scale.counts[:2]:
            yield Case(f"{name}, {objects_of(count)}", partial(rows, name, count))


def track_s(sam2: Sam2Model, clip: Clip, count: int, precision: str) -> float:
    """Seconds from files to masks on the host, for `count` objects through a clip."""
    tracker = WindowTracker(sam2, precision=precision)
    started = time.perf_counter()
    frames = encoded_frames(clip, sam2, (), precision=precision)
    masks = boxes(count, clip.size)
    for part in tracker.track(lambda _offset: next(frames).video, masks, clip.num_frames):
        (part.logits > 0).cpu()
    wait_for(sam2.device)
    return time.perf_counter() - started


def flops(sam2: Sam2Model, clip: Clip, count: int, precision: str) -> float:
    """Floating-point operations of `count` objects through a clip, encodings included."""
    with FlopCounterMode(display=False) as counter:
        track_s(sam2, clip, count, precision)
    return float(counter.get_total_flops())


def flops_per_object_frame(sam2: Sam2Model, clip: Clip, precision: str) -> float:
    """Those that one more object adds to a frame, averaged over the clip."""
    one, three = (flops(sam2, clip, count, precision) for count in (1, 3))
    return (three - one) / 2 / clip.num_frames
