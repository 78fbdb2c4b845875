"""`python -m benchmarks`: every ratio in one run, as a table, JSON and a plot."""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks import (
    approximations,
    equality,
    evaluate,
    explorer,
    fusion,
    gpu,
    host,
    memory,
    plan,
    profile,
    propagation,
    report,
    scaling,
    segmentors,
    verify,
    versions,
    windows,
)
from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

Benchmark = Callable[[], Iterator[Comparison]]
_LONG = ("equality", "approximations", "versions")  # up to an hour, so only when asked for


def benchmarks(
    *, quick: bool, repeats: int, keep: Path | None = None, against: str | None = None
) -> dict[str, Benchmark]:
    """What there is to run, by name. Each gets a section of the JSON file; add others here."""
    timed = {"quick": quick, "repeats": repeats}
    return {
        "propagation": partial(propagation.run, **timed),
        "proposals": partial(windows.run_proposals, **timed),
        "window": partial(windows.run_window, **timed),
        "profile": partial(profile.run, **timed),
        "plan": partial(plan.run, quick=quick),
        "memory": partial(memory.run, quick=quick),
        "segmentors": partial(segmentors.run, quick=quick),
        "gpu": partial(gpu.run, **timed),
        "host": partial(host.run, **timed),
        "verify": partial(verify.run, **timed),
        "evaluate": partial(evaluate.run, **timed),
        "explorer": partial(explorer.run, **timed),
        "fusion": partial(fusion.run, **timed),
        "scaling": partial(scaling.run, quick=quick),
        "equality": partial(equality.run, quick=quick, keep=keep),
        "approximations": partial(approximations.run, **timed, keep=keep),
        "versions": partial(versions.run, **timed, against=against),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; returns the exit code."""
    asked = _parsed(arguments)
    try:
        if asked.out is not None:
            report.check_out(asked.out)
    except Sam2VssError as error:
        _say(f"error: {error}")
        return error.exit_code
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    facts = report.run_facts(quick=asked.quick)
    if not facts.machine.quiet:
        _say(
            f"other programs are running (load average {facts.machine.load_average:.1f}): "
            "these ratios will be rough"
        )
    rows: list[Comparison] = []
    runs = benchmarks(
        quick=asked.quick, repeats=asked.repeats, keep=asked.keep, against=asked.against
    )
    for name in asked.only:
        found: list[Comparison] = []
        for row in runs[name]():
            found.append(row)
            ratio = "" if row.ratio_best is None else f", ratio {row.ratio_best:.2f}"
            _say(f"{name}: {row.case} v {row.other}{ratio}")
        if not found:
            _say(f"{name}: skipped, as it needs a GPU or --against COMMIT")
        elif asked.out is not None:
            report.write(asked.out, name, facts.model_copy(update={"rows": tuple(found)}))
        rows += found
    print(report.table(rows))
    print(*report.missed(rows), sep="\n")
    return 0


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Checked arguments; `only` is a list of names."""
    names = [*benchmarks(quick=True, repeats=1)]
    usual = ",".join(name for name in names if name not in _LONG)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=report.__doc__)
    parser.add_argument(
        "--out", type=Path, help="JSON file; a plot is put beside it, what others left there stays"
    )
    long = ", ".join(_LONG)
    parser.add_argument("--only", default=usual, help=f"some of %(default)s, or of {long}")
    parser.add_argument("--quick", action="store_true", help="few objects and frames")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each (%(default)s)")
    parser.add_argument("--threads", type=int, help="torch threads (torch's own default)")
    parser.add_argument("--keep", type=Path, help=f"folder of masklets, to go on with {long}")
    parser.add_argument("--against", help="earlier commit that `versions` is beside")
    asked = parser.parse_args(arguments)
    asked.only = asked.only.split(",")
    if unknown := sorted({*asked.only} - {*names}):
        parser.error(f"--only: no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    if asked.repeats < 1 or (asked.threads is not None and asked.threads < 1):
        parser.error("--repeats and --threads: must be at least 1")
    return asked


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
