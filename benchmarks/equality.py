"""The engine's masklets beside stock's on every clip of the demo's val split.

Stock follows one object at a time, so this takes an hour; masklets are kept clip by clip in a
folder and a run that was stopped goes on where it was. What stock found stays good for another
engine.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks import rounding
from benchmarks.agreement import Differences
from benchmarks.inputs import demo_clip
from sam2vss_lib.datasets import Clip, Dataset, open_dataset
from sam2vss_lib.masklets.generate import generate_masklets, generate_shared
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segment import segment
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_MASKLETS = Path(__file__).resolve().parents[1] / "sam2vss_lib" / "masklets"
_BASE = "segformer-micro"
_TARGET = "same proposals, mean IoU >= 0.9995, 99 % above 0.999, refined maps < 1 px in 10,000"


def compared_settings(*, quick: bool) -> list[MaskletSettings]:
    """Windows and grids, those first that take stock the least."""
    windows, grids = ((1, 4), (4,)) if quick else ((1, 4, 16, 32), (8, 16))
    return [MaskletSettings(window=w, points_per_side=g) for g in grids for w in windows]


def run(*, quick: bool, keep: Path | None) -> Iterator[Comparison]:
    """One row for every setting, its number the mean IoU per masklet and frame; and the cause."""
    yield from rounding.run(quick=quick)
    with TemporaryDirectory(prefix="sam2vss-bench-") as temporary:
        folder, settings = keep or Path(temporary), compared_settings(quick=quick)
        if quick:
            with demo_clip(3) as dataset:
                yield from rows(dataset, settings, folder)
        else:
            yield from rows(open_dataset("demo", "val"), settings, folder)


def rows(
    dataset: Dataset, settings: Sequence[MaskletSettings], folder: Path
) -> Iterator[Comparison]:
    """Compute what `folder` lacks, and compare."""
    model, segmentor = load_sam2("demo"), load_segmentor(_BASE)
    base = PredictionFolder(folder / _BASE, segmentor.num_classes)
    segment(dataset, segmentor, base)
    stores = {one: MaskletStore(folder / engine_name() / _name(one)) for one in settings}
    generate_shared(dataset, model, {one: store.root for one, store in stores.items()})
    for one, ours in stores.items():
        yield _row(dataset, model, one, ours, folder / "stock" / _name(one), base)


def _row(
    dataset: Dataset,
    model: Sam2Model,
    settings: MaskletSettings,
    ours: MaskletStore,
    stock_folder: Path,
    base: PredictionFolder,
) -> Comparison:
    found, stock = Differences(), MaskletStore(stock_folder)
    by_stock = settings.model_copy(update={"engine": "stock"})
    for clip in dataset:
        only = replace(dataset, clips=(clip,))
        generate_masklets(only, model, by_stock, stock.root)
        found.add_masklets(ours.read(clip.name), stock.read(clip.name))
        found.add_refined(refined(only, clip, base, ours), refined(only, clip, base, stock))
    return Comparison(
        "equality",
        f"demo val, {len(dataset)} clips, window {settings.window}, "
        f"grid {settings.points_per_side}",
        "engine: stock",
        "mean IoU",
        found.mean_iou,
        objects=found.masklets,
        frames=sum(clip.num_frames for clip in dataset),
        object_frames=len(found.ious),
        target=_TARGET,
        met=found.are_small,
        note=found.in_words(),
        details=found.details(),
    )


def refined(
    dataset: Dataset, clip: Clip, base: PredictionFolder, store: MaskletStore
) -> NDArray[np.uint8]:
    """(frames, H, W) labels after the frame vote."""
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        out = PredictionFolder(Path(folder), base.num_classes)
        refine(dataset, base, store, out)
        return np.stack([out.read(clip, i) for i in range(clip.num_frames)])


def _name(settings: MaskletSettings) -> str:
    window, grid = settings.window, settings.points_per_side
    return f"window_{window}_grid_{grid}_{settings.sha256()[:10]}"


def engine_name() -> str:
    """Names the engine's masklets by its source, so that another engine's are not taken for it."""
    digest = hashlib.sha256()
    for path in sorted(_MASKLETS.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"engine-{digest.hexdigest()[:12]}"
