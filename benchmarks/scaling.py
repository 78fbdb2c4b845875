"""The masklets of the demo's val split by two workers and by one, their start included."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rows import side_by_side
from sam2vss_lib.cli.inference import tracking
from sam2vss_lib.cli.options import run_stage
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.parallel.ray_workers import RayPool
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_WORKERS = 2


def run(*, quick: bool) -> Iterator[Comparison]:
    """One row; the efficiency is the ratio over the number of workers."""
    dataset = open_dataset("demo", "val").take(2 if quick else None)
    settings = MaskletSettings(points_per_side=4 if quick else 16)
    rows = side_by_side(
        lambda: _masklets(dataset, settings, _WORKERS),
        {"1 worker": lambda: _masklets(dataset, settings, 1)},
        repeats=1,
        warm_up=False,
        section="scaling",
        case=f"masklets of {len(dataset)} clips of the demo, {_WORKERS} workers",
        frames=sum(clip.num_frames for clip in dataset),
    )
    for row in rows:
        efficiency = (row.ratio_best or 0.0) / _WORKERS
        yield replace(row, details={"efficiency": efficiency}, note=f"efficiency {efficiency:.0%}")


def _masklets(dataset: Dataset, settings: MaskletSettings, workers: int) -> None:
    with TemporaryDirectory(prefix="sam2vss-bench-") as out:
        work = partial(tracking, "demo", "cpu", None, settings, Path(out), None)
        run_stage(dataset, work, RayPool(workers), "masklets")
