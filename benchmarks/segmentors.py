"""What a frame costs the temporal base models, with the features of references kept or made anew.

Each measurement has a process of its own, which reads as few frames as show it: ten with kept
features, the most that are ever kept, and five without. Times are those of the processor (all
threads together), per frame with references, one frame at a time. Peak memory is that of weights,
features and all, above what the interpreter and its libraries take.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveInt

from benchmarks.inputs import demo_clip
from benchmarks.memory import own_peak_mib
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.mit import MIT_ARCHITECTURES
from sam2vss_lib.segmentors.registry import DEMO_MODELS, load_segmentor
from sam2vss_lib.segmentors.segformer.segformer import SegFormer, build_segformer
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.segmentors.temporal.architectures import PUBLISHED_TEMPORAL, build_temporal
from sam2vss_lib.segmentors.temporal.clip_head import CLIP_FRAMES, REACH_FRAMES
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_ROOT = Path(__file__).resolve().parents[1]
HEADS = ("cffm", "mrcfa", "tv3s")
_PUBLISHED_ENCODER, _PUBLISHED_CLASSES = "mit_b1", 124
_PUBLISHED_PX = (480, 853)  # of the frames; the networks see 480 x 864


class Measurement(BaseModel, frozen=True):
    """What a process of its own measures."""

    model: str
    cache_references: bool = True
    tv3s_mode: Literal[0, 1, 2] = 0
    threads: PositiveInt = 1

    @property
    def frames(self) -> int:
        """So many that, where features are kept, none is dropped before the last frame."""
        keeps = self.cache_references and self.tv3s_mode == 0
        return REACH_FRAMES + 1 if keeps else CLIP_FRAMES + 1


class Cost(BaseModel, frozen=True):
    """What it found.

    Attributes:
        frame_s: processor seconds of every frame with references.
        peak_mib: most resident memory above that at the start.
    """

    frame_s: list[float]
    peak_mib: float


def run(*, quick: bool) -> Iterator[Comparison]:
    """For each encoder its SegFormer, and with each head: kept features v those made anew."""
    demo = sorted({name.partition("-")[2] for name in DEMO_MODELS})
    for encoder in demo[:1] if quick else [*demo, _PUBLISHED_ENCODER]:
        alone = measured(f"segformer-{encoder}")
        yield _row(f"segformer-{encoder}", "", alone, None)
        for head in HEADS:
            name = f"{head}-{encoder}"
            kept, anew = measured(name), measured(name, cache_references=False)
            to_segformer = min(kept.frame_s) / min(alone.frame_s)
            yield _row(name, "references made anew", kept, anew, to_segformer)
            if head == "tv3s":
                carried = measured(name, tv3s_mode=2)
                to_segformer = min(carried.frame_s) / min(alone.frame_s)
                yield _row(f"{name}, mode 2", "mode 0", carried, kept, to_segformer)


def measured(model: str, **options: Any) -> Cost:
    """Cost of a model, in a process of its own; `options` are fields of `Measurement`."""
    what = Measurement(model=model, threads=torch.get_num_threads(), **options)
    command = [sys.executable, "-m", "benchmarks.segmentors", what.model_dump_json()]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    return Cost.model_validate_json(done.stdout)


def main() -> None:
    """What `measured` runs in a process of its own."""
    what = Measurement.model_validate_json(sys.argv[1])
    torch.set_num_threads(what.threads)
    json.dump(cost(what).model_dump(), sys.stdout)


def cost(what: Measurement) -> Cost:
    """Cost in this process."""
    images = _images(what)
    before_mib = psutil.Process().memory_info().rss / 2**20
    options = InferenceOptions(
        batch_frames=1, cache_references=what.cache_references, tv3s_mode=what.tv3s_mode
    )
    segmentor = model_of(what.model, torch.device("cpu"), options)
    predictions = segmentor.predict_clip(iter(images))
    times = [time.process_time(), *(time.process_time() for _ in predictions)]
    with_references = np.diff(times)[CLIP_FRAMES - 1 :]
    return Cost(frame_s=with_references.tolist(), peak_mib=own_peak_mib() - before_mib)


def _images(what: Measurement) -> list[NDArray[np.uint8]]:
    """Of the demo for its models; elsewhere anything, as weights are random too."""
    if what.model in DEMO_MODELS:
        with demo_clip(what.frames) as dataset:
            return [dataset.clips[0].frame(i) for i in range(what.frames)]
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (what.frames, *_PUBLISHED_PX, 3), dtype=np.uint8))


def model_of(name: str, device: torch.device, options: InferenceOptions) -> Segmentor:
    """An embedded model, or a published architecture with random weights."""
    if name in DEMO_MODELS:
        return load_segmentor(name, device, options)
    classes = _PUBLISHED_CLASSES
    torch.manual_seed(0)
    if name in PUBLISHED_TEMPORAL:
        network = build_temporal(PUBLISHED_TEMPORAL[name]).eval().to(device)
        return TemporalSegmentor(name, network, classes, "", device, options, "published")
    decoder = {"num_labels": classes, "decoder_hidden_size": 256}
    segformer = build_segformer(MIT_ARCHITECTURES[_PUBLISHED_ENCODER] | decoder).eval().to(device)
    return SegFormer(name, segformer, classes, "", device, options, "published")


def _row(
    case: str, other: str, ours: Cost, baseline: Cost | None, to_segformer: float = 1.0
) -> Comparison:
    baseline_s = None if baseline is None else baseline.frame_s
    return Comparison(
        "segmentors",
        case,
        other,
        "CPU s/frame",
        min(ours.frame_s),
        None if baseline_s is None else min(baseline_s),
        None if baseline_s is None else min(baseline_s) / min(ours.frame_s),
        None
        if baseline_s is None
        else statistics.median(baseline_s) / statistics.median(ours.frame_s),
        repeats=len(ours.frame_s),
        frames=CLIP_FRAMES - 1 + len(ours.frame_s),
        ours_peak_mib=ours.peak_mib,
        baseline_peak_mib=None if baseline is None else baseline.peak_mib,
        details={"times_segformer": to_segformer},
    )


if __name__ == "__main__":
    main()
