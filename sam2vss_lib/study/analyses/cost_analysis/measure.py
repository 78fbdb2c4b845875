"""What refining a frame costs: every part is run by itself, for its operations and its time."""

import resource
import timeit
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.engines.batched.drawing.drawn import Drawn
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.engines.batched.grid import propose, select
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.rows import encode_masks, mask_areas, run_columns
from sam2vss_lib.masklets.runs import decode_runs, encode_runs
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.refinement.counting import count_votes, winning_classes
from sam2vss_lib.refinement.painting import paint
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement, PartCost

Mask = NDArray[np.bool_]
Timer = Callable[[str, Callable[[], Any]], tuple[PartCost, Any]]
_REPEATS = 3
_GIGA = 1e9


def measure_cost(
    clip: Clip,
    model: Sam2Model,
    settings: MaskletSettings,
    base: Labels,
    num_classes: int,
    objects: Sequence[int],
    frames: int = 4,
) -> CostMeasurement:
    """Time every part of refining a clip's first frames, as the engine does it with `settings`.

    `base` holds the (H, W) base labels of the first frame. Objects to track are the clip's own
    proposals, repeated as needed; the prompted frame is not counted among the tracked `frames`.
    """
    tracker = WindowTracker(model, precision=settings.precision, approximations=settings)
    model = tracker.model  # compiled, if that is set
    encoded = partial(encode, model, precision=settings.precision)
    timer = partial(_timed, model.device)
    images = [clip.frame(i) for i in range(min(frames + 1, clip.num_frames))]
    side = model.predictor.image_size
    decode = timer("decode", lambda: model_input(clip.frame(0), side, "video"))[0]
    encoding, _ = timer("encode", lambda: encoded([model_input(images[0], side, "video")]))
    features = encoded([model_input(images[0], side, "image")])
    prompting, found = timer(
        "propose", lambda: select(propose(model, features, clip.size, settings), settings)[0].masks
    )
    videos = [encoded([model_input(image, side, "video")]) for image in images]
    # something to track where nothing was proposed
    masks = found if len(found) else np.ones((1, *clip.size), np.bool_)
    per_count = [
        _tracking(timer, tracker, videos, masks[np.arange(count) % len(masks)]) for count in objects
    ]
    tracking = _tracking(timer, tracker, videos, masks)
    storing, _ = timer("store", lambda: _stored(masks))
    rles = encode_masks(masks)
    voting, refined = timer("refine", lambda: _refined(rles, base, num_classes))
    labels, truth = (torch.from_numpy(one).to(model.device) for one in (refined, base))
    counting = timer("metrics", lambda: _counted(labels, truth, num_classes))[0]
    per_window = 1 / settings.window
    twice = 0 if settings.share_anchor_encoding else per_window  # anchors, for their proposals
    encoding = encoding.model_copy(update={"per_frame": 1 + twice})
    prompting = prompting.model_copy(update={"per_frame": per_window})
    return CostMeasurement(
        parts=(decode, encoding, prompting, tracking, storing, voting, counting),
        objects=tuple(objects),
        track_seconds=tuple(part.seconds for part in per_count),
        peak_memory_mib=_peak_memory_mib(model.device),
        masklets=len(masks),
        window=settings.window,
    )


def _timed(device: torch.device, part: str, work: Callable[[], Any]) -> tuple[PartCost, Any]:
    """Run a piece of work: once to warm up and count its operations, then for time."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    with FlopCounterMode(display=False) as counter:
        result = work()
    wait()
    seconds = float(np.median(timeit.repeat(lambda: (work(), wait()), number=1, repeat=_REPEATS)))
    gflop = counter.get_total_flops() / _GIGA
    return PartCost(part=part, per_frame=1, gflop=gflop, seconds=seconds), result


def _tracking(
    timer: Timer, tracker: WindowTracker, videos: Sequence[EncodedFrames], masks: Mask
) -> PartCost:
    """Cost of one tracked frame, the prompted one left out."""

    def run() -> Iterator[Any]:
        parts = tracker.track(lambda offset: videos[offset], masks, len(videos))
        return (part.logits for part in parts)

    whole, _ = timer("track", lambda: list(run()))
    first, _ = timer("track", lambda: list(islice(run(), 1)))
    later = max(len(videos) - 1, 1)
    return PartCost(
        part="track",
        per_frame=1,
        gflop=(whole.gflop - first.gflop) / later,
        seconds=max(whole.seconds - first.seconds, 0.0) / later,
    )


def _stored(masks: Mask) -> Any:
    logits = torch.from_numpy(masks)[:, None].float() - 0.5
    drawn, (seen,) = Drawn(logits, masks.shape[1:], [np.arange(len(masks))]).runs()
    return run_columns(drawn), encode_runs(seen)


def _refined(rles: list[bytes], base: Labels, num_classes: int) -> Labels:
    runs = decode_runs(rles, *base.shape)
    classes = winning_classes(count_votes(runs, base, num_classes))
    return paint(base, runs, classes, -mask_areas(rles, *base.shape))


def _counted(refined: Any, truth: Any, num_classes: int) -> None:
    suite = MetricSuite(num_classes)
    suite.update("clip", refined, truth)
    suite.finish()


def _peak_memory_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
