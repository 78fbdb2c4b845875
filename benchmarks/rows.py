"""How programs are timed against each other."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_SAMPLE_S = 0.02


@dataclass(frozen=True)
class _Run:
    """What one program returned, how long it took, and how far resident memory rose."""

    found: Any
    seconds: float
    peak_mib: float


def side_by_side(
    ours: Callable[[], Any],
    others: Mapping[str, Callable[[], Any]],
    *,
    repeats: int,
    warm_up: bool = True,
    mean_iou: Callable[[Any, Any], float] | None = None,
    least_ratio: float | None = None,
    **facts: Any,
) -> list[Comparison]:
    """Time programs in turns, by default after one run of each that only warms up.

    Whatever else the machine does then meets all alike; the best of several runs is the one it
    disturbed least. Masks and memory are those of the first runs.

    Args:
        ours: runs this program.
        others: run the others, by name.
        repeats: timed runs of each.
        warm_up: whether there is an untimed run before the others.
        mean_iou: compares what two programs returned.
        least_ratio: what the project promises beside the first of `others`.
        facts: other fields of the `Comparison`.

    Returns:
        One row for each of `others`.
    """
    programs = {"": ours, **others}
    turns = [
        {name: _watched(run) for name, run in programs.items()} for _ in range(repeats + warm_up)
    ]
    timed = turns[warm_up:]
    first, ours_s = turns[0][""], [turn[""].seconds for turn in timed]
    rows: list[Comparison] = []
    for name in others:
        other, other_s = turns[0][name], [turn[name].seconds for turn in timed]
        ratio = min(other_s) / min(ours_s)
        promised = None if rows else least_ratio
        rows.append(
            Comparison(
                other=name,
                unit="s",
                ours=min(ours_s),
                baseline=min(other_s),
                ratio_best=ratio,
                ratio_median=statistics.median(other_s) / statistics.median(ours_s),
                repeats=repeats,
                ours_peak_mib=first.peak_mib,
                baseline_peak_mib=other.peak_mib,
                mean_iou=None if mean_iou is None else mean_iou(first.found, other.found),
                target="" if promised is None else f"ratio >= {promised:g}",
                met=None if promised is None else ratio >= promised,
                **facts,
            )
        )
    return rows


def _watched(run: Callable[[], Any]) -> _Run:
    """Run something while another thread looks at resident memory now and then."""
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLE_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        found = run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    finally:
        done.set()
        watcher.join()
    return _Run(found, seconds, (peak - before) / 2**20)
