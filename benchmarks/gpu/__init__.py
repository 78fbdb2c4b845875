"""One check for a machine with a card: right, how fast, where the time goes, in a given time.

Steps run in the order of their importance, each within its share of the time. What fails, or takes
longer than there is time for, is a row that says so, and the rest goes on.
"""

import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import torch

from benchmarks.gpu import models, settings, share, stages, tracking
from benchmarks.gpu.cases import Case, Scale, failed, scale_of
from sam2vss_lib.errors import first_line
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

#: steps and the share of the time by whose end each is over
STEPS: dict[str, tuple[Callable[[Scale], Iterator[Case]], float]] = {
    "equality": (tracking.equality, 0.12),
    "speed": (tracking.speed, 0.45),
    "parts": (tracking.parts, 0.55),
    "share": (share.of_matrix_rate, 0.62),
    "stages": (stages.refine_and_evaluate, 0.72),
    "base models": (models.temporal, 0.82),
    "settings": (settings.how_it_runs, 0.85),
    "stock, compiled": (tracking.speed_of_compiled_stock, 1.0),
}


def run(*, quick: bool, minutes: float) -> Iterator[Comparison]:
    """The rows of all steps; tiny ones where there is no card, to show that the check runs."""
    started, seconds = time.monotonic(), 60 * minutes
    scale = scale_of(torch.device("cuda" if torch.cuda.is_available() else "cpu"), quick=quick)
    for name, (step, until) in STEPS.items():
        for case in guarded(name, step(scale), started + until * seconds):
            yield from case


def guarded(name: str, cases: Iterator[Case], deadline: float) -> Iterator[list[Comparison]]:
    """The rows of each case, and one that says why there are no more."""
    while True:
        case, rows = None, list[Comparison]()
        try:
            with at_most(deadline - time.monotonic()):
                case = next(cases, None)
                if case is None:
                    return
                for row in case.rows():
                    rows.append(row)
        except (Exception, OutOfTime) as error:  # whatever it is, the rest is worth having
            title = name if case is None else f"{name}: {case.name}"
            rows.append(failed(title, first_line(error)))
        yield rows
        if case is None:  # the step itself has failed, or there was no time for more of it
            return
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class OutOfTime(BaseException):
    """The time of a step is up; no handler of errors in between is to take it for one."""


@contextmanager
def at_most(seconds: float) -> Generator[None]:
    """Ends what runs in the block after so many seconds; the main thread alone can.

    Raises:
        OutOfTime: it took longer, or there was no time at all.
    """

    def stop(*_: object) -> None:
        raise OutOfTime(f"no time left; it was stopped after {seconds:.0f} s")

    if seconds < 1:
        raise OutOfTime("no time left")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # again, should it be lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
