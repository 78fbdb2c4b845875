"""`python -m benchmarks`: every ratio in one run, as a table, JSON and a plot."""

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks import report
from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison, Section

Benchmark = Callable[[], Iterator[Comparison]]
_LONG = ("equality", "approximations", "versions")  # up to an hour, so only when asked for
#: for a machine that may be taken away: written row by row, and not among the usual ones
_AS_IT_GOES = ("gpu",)


def benchmarks(
    *,
    quick: bool,
    repeats: int,
    keep: Path | None = None,
    against: str | None = None,
    minutes: float = 8,
) -> dict[str, Benchmark]:
    """What there is to run, by name. Each gets a section of the JSON file; add others here."""

    def of(module: str, function: str = "run", **options: Any) -> Benchmark:
        """A module is imported when it runs: some need packages that others do without."""
        return lambda: getattr(import_module(f"benchmarks.{module}"), function)(
            quick=quick, **options
        )

    return {
        "propagation": of("propagation", repeats=repeats),
        "proposals": of("windows", "run_proposals", repeats=repeats),
        "window": of("windows", "run_window", repeats=repeats),
        "profile": of("profile", repeats=repeats),
        "plan": of("plan"),
        "memory": of("memory"),
        "segmentors": of("segmentors"),
        "gpu": of("gpu", minutes=minutes),
        "host": of("host", repeats=repeats),
        "verify": of("verify", repeats=repeats),
        "evaluate": of("evaluate", repeats=repeats),
        "explorer": of("explorer", repeats=repeats),
        "fusion": of("fusion", repeats=repeats),
        "scaling": of("scaling"),
        "equality": of("equality", keep=keep),
        "approximations": of("approximations", repeats=repeats, keep=keep),
        "versions": of("versions", repeats=repeats, against=against),
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
        quick=asked.quick,
        repeats=asked.repeats,
        keep=asked.keep,
        against=asked.against,
        minutes=asked.minutes,
    )
    for name in asked.only:
        found: list[Comparison] = []
        for row in runs[name]():
            found.append(row)
            _say(f"{name}: {report.line(row)}")
            if asked.out is not None and name in _AS_IT_GOES:
                report.write(asked.out, name, _section(facts, found), plot=False)
        if not found:
            _say(f"{name}: skipped, as it needs --against COMMIT")
        elif asked.out is not None:
            report.write(asked.out, name, _section(facts, found))
        rows += found
    print(report.table(rows))
    print(*report.missed(rows), sep="\n")
    return 0


def _section(facts: Section, rows: list[Comparison]) -> Section:
    return facts.model_copy(update={"rows": tuple(rows)})


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Checked arguments; `only` is a list of names."""
    names = [*benchmarks(quick=True, repeats=1)]
    usual = ",".join(name for name in names if name not in (*_LONG, *_AS_IT_GOES))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=report.__doc__)
    parser.add_argument(
        "--out", type=Path, help="JSON file; a plot is put beside it, what others left there stays"
    )
    long = ", ".join((*_LONG, *_AS_IT_GOES))
    parser.add_argument("--only", default=usual, help=f"some of %(default)s, or of {long}")
    parser.add_argument("--quick", action="store_true", help="few objects and frames")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each (%(default)s)")
    parser.add_argument("--threads", type=int, help="torch threads (torch's own default)")
    parser.add_argument(
        "--keep", type=Path, help=f"folder of masklets, to go on with {', '.join(_LONG)}"
    )
    parser.add_argument(
        "--minutes", type=float, default=8, help="that gpu takes at most (%(default)s)"
    )
    parser.add_argument("--against", help="earlier commit that `versions` is beside")
    asked = parser.parse_args(arguments)
    asked.only = asked.only.split(",")
    if unknown := sorted({*asked.only} - {*names}):
        parser.error(f"--only: no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    if asked.repeats < 1 or (asked.threads is not None and asked.threads < 1):
        parser.error("--repeats and --threads: must be at least 1")
    if not asked.minutes > 0:
        parser.error("--minutes: must be above 0")
    return asked


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
