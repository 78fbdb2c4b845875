"""One measurement, and how two programs are timed against each other."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

_SAMPLE_S = 0.005


@dataclass(frozen=True)
class Row:
    """One line of the table: this program (ours) beside another.

    Attributes:
        section: which benchmark.
        case: what was computed.
        other: what ours is compared with.
        unit: of `ours` and `baseline`.
        ours: best of the repeats; a count where the unit is one.
        baseline: likewise, of the other program.
        ratio_best: baseline over ours, best over best: above 1 ours is better.
        ratio_median: median over median.
        repeats: runs of each.
        objects: number of objects, or of proposals.
        frames: number of frames.
        object_frames: objects propagated times frames, of ours.
        image_encodings: frames through the image encoder, of ours.
        ours_peak_mib: growth of resident memory during a run that was not timed, or all of it
            where the unit is MiB.
        baseline_peak_mib: likewise.
        note: what else is to be known.
    """

    section: str
    case: str
    other: str
    unit: str
    ours: float
    baseline: float | None = None
    ratio_best: float | None = None
    ratio_median: float | None = None
    repeats: int = 1
    objects: int | None = None
    frames: int | None = None
    object_frames: int | None = None
    image_encodings: int | None = None
    ours_peak_mib: float | None = None
    baseline_peak_mib: float | None = None
    note: str = ""


def side_by_side(
    ours: Callable[[], object],
    baseline: Callable[[], object],
    *,
    section: str,
    case: str,
    other: str,
    repeats: int,
    objects: int | None = None,
    frames: int | None = None,
    object_frames: int | None = None,
    image_encodings: int | None = None,
) -> Row:
    """Time two programs in turns, after one run of each that only warms up and shows its memory.

    Whatever else the machine does then meets both alike; the best of several runs is the one it
    disturbed least.
    """
    ours_peak_mib, baseline_peak_mib = peak_growth_mib(ours), peak_growth_mib(baseline)
    ours_s: list[float] = []
    baseline_s: list[float] = []
    for _ in range(repeats):
        for run, seconds in ((ours, ours_s), (baseline, baseline_s)):
            started = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
    return Row(
        section,
        case,
        other,
        "s",
        min(ours_s),
        min(baseline_s),
        min(baseline_s) / min(ours_s),
        statistics.median(baseline_s) / statistics.median(ours_s),
        repeats,
        objects,
        frames,
        object_frames,
        image_encodings,
        ours_peak_mib,
        baseline_peak_mib,
    )


def peak_growth_mib(run: Callable[[], object]) -> float:
    """Run something; how far resident memory rose above what it was before, sampled often."""
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLE_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return (peak - before) / 2**20
