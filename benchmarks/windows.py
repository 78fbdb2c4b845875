"""Proposals alone, and a whole window from frames to stored masklets, beside stock."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import mean_iou
from benchmarks.inputs import demo_clip
from benchmarks.rows import side_by_side
from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.engines.batched.encoder import encode, model_input
from sam2vss_lib.masklets.engines.batched.grid import propose, select
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.generate import MaskletRun, generate_masklets
from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison


def run_proposals(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """A grid of 16 x 16 points on one frame, decoding of the picture aside."""
    settings = MaskletSettings(points_per_side=8 if quick else 16)
    model = load_sam2("demo")
    with demo_clip(1) as dataset:
        image = dataset.clips[0].frame(0)
    generator = ProposalGenerator(model, settings)
    yield from side_by_side(
        lambda: proposals_by_engine(model, settings, image),
        {"SAM2AutomaticMaskGenerator": lambda: generator(image)},
        repeats=repeats,
        mean_iou=lambda ours, theirs: mean_iou([ours.masks], [theirs.masks]),
        section="proposals",
        case=f"demo, grid {settings.points_per_side}",
        objects=len(proposals_by_engine(model, settings, image).masks),
        frames=1,
        image_encodings=1,
    )


def proposals_by_engine(
    model: Sam2Model, settings: MaskletSettings, image: NDArray[np.uint8]
) -> Proposals:
    features = encode(model, [model_input(image, model.predictor.image_size, "image")])
    size_px = (image.shape[0], image.shape[1])
    return select(propose(model, features, size_px, settings), settings)[0]


def run_window(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """Proposals and propagation together: one window into a store, as the masklet stage does."""
    frames = 4 if quick else 16
    settings = MaskletSettings(window=frames, points_per_side=8 if quick else 16)
    by_stock = settings.model_copy(update={"engine": "stock"})
    model = load_sam2("demo")
    with demo_clip(frames) as dataset:
        found = into_new_store(dataset, model, settings)
        yield from side_by_side(
            lambda: into_new_store(dataset, model, settings),
            {"engine: stock": lambda: into_new_store(dataset, model, by_stock)},
            repeats=repeats,
            least_ratio=None if quick else 2,
            section="window",
            case=f"demo, grid {settings.points_per_side}, {frames} frames",
            objects=found.masklets,
            frames=frames,
            object_frames=found.object_frames,
            image_encodings=frames + 1,
        )


def into_new_store(dataset: Dataset, model: Sam2Model, settings: MaskletSettings) -> MaskletRun:
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        return generate_masklets(dataset, model, settings, Path(folder))
