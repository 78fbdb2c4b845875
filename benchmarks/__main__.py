"""`python -m benchmarks`: every ratio in one run, as a table, JSON and a plot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks import gpu, memory, plan, propagation, report, windows
from benchmarks.rows import Row

Benchmark = Callable[[], Iterator[Row]]


def benchmarks(*, quick: bool, repeats: int) -> dict[str, Benchmark]:
    """What there is to run, by name."""
    timed = {"quick": quick, "repeats": repeats}
    return {
        "propagation": partial(propagation.run, **timed),
        "proposals": partial(windows.run_proposals, **timed),
        "window": partial(windows.run_window, **timed),
        "plan": partial(plan.run, quick=quick),
        "memory": partial(memory.run, quick=quick),
        "gpu": partial(gpu.run, **timed),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; returns the exit code."""
    names = [*benchmarks(quick=True, repeats=1)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=report.__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; the plot is put beside it")
    parser.add_argument("--only", default=",".join(names), help="some of: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few objects and frames")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each (%(default)s)")
    parser.add_argument("--threads", type=int, help="torch threads (torch's own default)")
    asked = parser.parse_args(arguments)
    only = asked.only.split(",")
    if unknown := sorted({*only} - {*names}):
        parser.error(f"--only: no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    if asked.repeats < 1 or (asked.threads is not None and asked.threads < 1):
        parser.error("--repeats and --threads: must be at least 1")
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)

    facts = report.machine_facts()
    if not report.is_quiet(facts):
        print(
            f"other programs are running (load average {facts['load_average']:.1f}): "
            "these ratios will be rough",
            file=sys.stderr,
        )
    rows: list[Row] = []
    for name, run in benchmarks(quick=asked.quick, repeats=asked.repeats).items():
        if name not in only:
            continue
        found: list[Row] = []
        for row in run():
            found.append(row)
            ratio = "" if row.ratio_best is None else f", ratio {row.ratio_best:.2f}"
            print(f"{name}: {row.case} v {row.other}{ratio}", file=sys.stderr, flush=True)
        if not found:
            print(f"{name}: skipped, no GPU on this machine", file=sys.stderr)
        rows += found
    print(report.table(rows))
    if asked.out is not None:
        plot = report.write(asked.out, rows, facts, quick=asked.quick)
        print(f"written: {asked.out}, {plot}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
