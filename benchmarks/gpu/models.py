"""The temporal base models on a card."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.gpu.cases import Case, Scale, watched
from benchmarks.segmentors import HEADS, model_of
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison


def temporal(scale: Scale) -> Iterator[Case]:
    """CFFM, MRCFA and TV3S with random weights, and SegFormer of the same encoder."""
    encoder, frames = ("micro", 5) if scale.is_tiny else ("mit_b1", 24)
    precisions = ("float32",) if scale.is_tiny else ("float32", "bfloat16")

    def rows(name: str, precision: str) -> Iterator[Comparison]:
        options = InferenceOptions.model_validate({"precision": precision})
        segmentor = model_of(name, scale.device, options)
        rng = np.random.default_rng(0)
        images = list(rng.integers(0, 256, (frames, *scale.size_px, 3), dtype=np.uint8))
        list(segmentor.predict_clip(iter(images)))  # warms up
        with watched(scale.device) as took:
            count = len(list(segmentor.predict_clip(iter(images))))
        height, width = scale.size_px
        yield Comparison(
            "gpu",
            f"{name}, {precision}, {height}x{width}",
            "",
            "frames/s",
            count / took.seconds,
            frames=frames,
            ours_peak_mib=took.peak_mib,
        )

    for head in (*HEADS, "segformer"):
        for precision in precisions:
            yield Case(f"{head}, {precision}", partial(rows, f"{head}-{encoder}", precision))
