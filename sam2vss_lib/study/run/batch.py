"""Running many notebooks: several at a time, and on when one of them fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from jupyter_core.utils import ensure_event_loop

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.study.run.runner import TIMED, run_notebook

#: notebooks that read what another one leaves
_READS = {"02": "01"}
_LAST = 3  # short notebooks that come behind those, so that no process is left without work


class Batch(NamedTuple):
    """What came of a run of several notebooks, by their names."""

    executed: dict[str, Path]  # the executed copies
    failures: dict[str, Sam2VssError]  # errors of those that failed


def run_notebooks(
    plans: Mapping[Path, dict[str, Any]], workers: int, say: Callable[[str], None]
) -> Batch:
    """Run notebooks with their parameters, `workers` at a time, which share the machine's threads.

    One that reads another's result waits for it; those that time something run at the end, alone.
    """
    together = [notebook for notebook in plans if notebook.stem[:2] not in TIMED]
    readers = [notebook for notebook in together if notebook.stem[:2] in _READS]
    others = [notebook for notebook in together if notebook not in readers]
    behind = max(1, len(others) - _LAST)  # and behind the first, which they read
    together = [*others[:behind], *readers, *others[behind:]]
    alone = [notebook for notebook in plans if notebook.stem[:2] in TIMED]
    batch = Batch({}, {})
    workers = max(1, min(workers, len(together)))
    places = iter([f"{number} of {len(plans)}" for number in range(1, len(plans) + 1)])
    with _threads_of(workers):
        _run(together, plans, workers, batch, places, say)
    _run(alone, plans, 1, batch, places, say)
    return batch


def _run(
    notebooks: Sequence[Path],
    plans: Mapping[Path, dict[str, Any]],
    workers: int,
    batch: Batch,
    places: Iterator[str],
    say: Callable[[str], None],
) -> None:
    finished = {notebook.stem[:2]: Event() for notebook in notebooks}

    def run(notebook: Path) -> None:
        number = notebook.stem[:2]
        if (source := _READS.get(number)) in finished:
            finished[source].wait()
        say(f"running {notebook.name} ({next(places)})")
        try:
            # one bar at a time can be read
            executed = run_notebook(notebook, plans[notebook], progress=workers == 1)
            batch.executed[notebook.stem] = executed
        except Sam2VssError as error:
            say(f"error: {error}")
            batch.failures[notebook.stem] = error
        finally:
            finished[number].set()
            ensure_event_loop().close()  # nbclient opens one per thread and leaves it open

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, notebooks))


@contextmanager
def _threads_of(workers: int) -> Generator[None]:
    """Kernels started inside share the processor: torch takes its threads from this variable."""
    name = "OMP_NUM_THREADS"
    if workers == 1 or name in os.environ:
        yield
        return
    os.environ[name] = str(max(1, (os.cpu_count() or 1) // workers))
    try:
        yield
    finally:
        del os.environ[name]
