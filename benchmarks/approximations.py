"""What each approximation of the engine saves in time, and costs in accuracy after refinement.

Times are those of the processor (all threads together) rather than of the clock: other programs on
the machine disturb them less. So run it with `--threads 1`.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.equality import engine_name
from benchmarks.inputs import demo_clip
from benchmarks.windows import into_new_store
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segment import segment
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison
from sam2vss_lib.study.stages.evaluation import count_predictions

BASES = ("segformer-micro", "segformer-mini")
LEAST_RATIO_TO_STOCK = 4.0
MOST_LOST = {"mIoU": 0.3, "mBIoU": 0.5}
_METRICS = ("mIoU", "mBIoU", "mVC8")
_TARGET = "4 times stock's speed, at most 0.3 mIoU and 0.5 mBIoU lost"
_ALONE: tuple[dict[str, Any], ...] = (
    {"share_anchor_encoding": True},
    {"merge_iou": 0.7},
    {"memory_stride_frames": 4},
    {"recent_memories": 1},
)


def cases(**changes: Any) -> dict[str, MaskletSettings]:
    """Every approximation alone, and the preset."""
    found = {
        ", ".join(f"{name} {value}" for name, value in one.items()): MaskletSettings.from_preset(
            "exact", **one, **changes
        )
        for one in _ALONE
    }
    return {**found, "preset fast": MaskletSettings.from_preset("fast", **changes)}


def run(*, quick: bool, repeats: int, keep: Path | None = None) -> Iterator[Comparison]:
    """One row for every approximation, beside the exact engine.

    Args:
        quick: a few frames of one clip.
        repeats: timed runs of each.
        keep: folder that keeps masklets, for a run that goes on where another was stopped.
    """
    changes: dict[str, Any] = {"window": 3, "points_per_side": 4} if quick else {}
    settings = {"exact": MaskletSettings(**changes), **cases(**changes)}
    model = load_sam2("demo")
    seconds, objects = _cpu_seconds(model, settings, 3 if quick else 32, repeats)
    with TemporaryDirectory(prefix="sam2vss-bench-") as temporary:
        folder = keep or Path(temporary)
        if quick:
            with demo_clip(3) as dataset:
                scores = _all_scores(dataset, model, settings, folder)
        else:
            dataset = open_dataset("demo", "val")
            scores = _all_scores(dataset, model, settings, folder)
    for name in cases(**changes):
        lost = {
            f"{metric} lost, {base}": scores["exact"][base][metric] - scores[name][base][metric]
            for base in BASES
            for metric in _METRICS
        }
        to_stock = seconds["stock"] / seconds[name]
        promised = name == "preset fast"
        yield Comparison(
            "approximations",
            name,
            "exact engine",
            "CPU s",
            seconds[name],
            seconds["exact"],
            seconds["exact"] / seconds[name],
            repeats=repeats,
            objects=objects,
            frames=3 if quick else 32,
            target=_TARGET if promised else "",
            met=_is_enough(to_stock, lost) if promised else None,
            note=f"{to_stock:.2f} times stock's speed; "
            + ", ".join(f"{key} {value:+.2f}" for key, value in lost.items()),
            details={"ratio to stock": to_stock, **lost},
        )


def _is_enough(to_stock: float, lost: Mapping[str, float]) -> bool:
    small = all(
        lost[f"{name} lost, {base}"] <= MOST_LOST[name] for base in BASES for name in MOST_LOST
    )
    return small and to_stock >= LEAST_RATIO_TO_STOCK


def _cpu_seconds(
    model: Sam2Model, settings: Mapping[str, MaskletSettings], frames: int, repeats: int
) -> tuple[dict[str, float], int]:
    """Best of several runs of each and of stock, in turns; and how many masklets there are."""
    by_stock = settings["exact"].model_copy(update={"engine": "stock"})
    best: dict[str, float] = {}
    with demo_clip(frames) as dataset:
        objects = into_new_store(dataset, model, settings["exact"]).masklets  # warms up too
        for _ in range(repeats):
            for name, one in {**settings, "stock": by_stock}.items():
                started = time.process_time()
                into_new_store(dataset, model, one)
                taken = time.process_time() - started
                best[name] = min(taken, best.get(name, taken))
    return best, objects


def _all_scores(
    dataset: Dataset, model: Sam2Model, settings: Mapping[str, MaskletSettings], folder: Path
) -> dict[str, dict[str, dict[str, float]]]:
    """By settings, base model and metric."""
    bases: dict[str, PredictionFolder] = {}
    for base in BASES:
        segmentor = load_segmentor(base)
        bases[base] = PredictionFolder(folder / base, segmentor.num_classes)
        segment(dataset, segmentor, bases[base])
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for name, one in settings.items():
        store = folder / engine_name() / one.sha256()[:10]
        generate_masklets(dataset, model, one, store)
        scores[name] = {base: _scores(dataset, found, store) for base, found in bases.items()}
    return scores


def _scores(dataset: Dataset, base: PredictionFolder, store: Path) -> dict[str, float]:
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        out = PredictionFolder(Path(folder), base.num_classes)
        refine(dataset, base, MaskletStore(store), out)
        found = count_predictions(dataset, out).compute(samples=1).metrics
    return {name: float(found[name] or 0.0) for name in _METRICS}
