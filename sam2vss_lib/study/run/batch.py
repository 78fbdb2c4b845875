"""Running many notebooks: several at a time, on when one of them fails; what they reused."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pandas as pd
import psutil
from jupyter_core.utils import ensure_event_loop

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.parallel.processes import end_processes, threads_each
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.study.run.runner import TIMED, run_notebook

#: notebooks that read what another one leaves
_READS = {"02": "01"}
#: notebooks with the most work that is nobody else's
_LONG = ("03",)


class Batch(NamedTuple):
    """What came of a run of several notebooks, by their names."""

    executed: dict[str, Path]  # the executed copies
    failures: dict[str, Sam2VssError]  # errors of those that failed


def starting_order(numbers: Iterable[str]) -> list[str]:
    """The order in which notebooks are started, several at a time.

    The longest is the first. One that reads another's result comes late, as it has to wait for it,
    but with three short ones behind it, so that no process is left without work. Those that time
    something are the last.

    Example:
        >>> starting_order(["01", "02", "03", "04", "05", "08", "10"])
        ['03', '01', '02', '04', '05', '10', '08']
        >>> starting_order(["08", "02", "01"])
        ['01', '02', '08']
    """
    numbers = sorted(numbers, key=lambda number: number not in _LONG)
    timed = [number for number in numbers if number in TIMED]
    readers = [number for number in numbers if number in _READS]
    others = [number for number in numbers if number not in (*timed, *readers)]
    before = max(1, len(others) - 3)
    return [*others[:before], *readers, *others[before:], *timed]


def run_notebooks(
    plans: Mapping[Path, dict[str, Any]], workers: int, say: Callable[[str], None]
) -> Batch:
    """Run notebooks with their parameters, `workers` at a time, which share the machine's threads.

    One that reads another's result waits for it; those that time something run at the end, alone.
    An interrupt ends the kernels, which takes seconds, and keeps what is finished.
    """
    batch = Batch({}, {})
    notebooks = {notebook.stem[:2]: notebook for notebook in plans}
    order = starting_order(notebooks)
    finished, stopping = {number: Event() for number in order}, Event()
    places = iter([f"{place} of {len(order)}" for place in range(1, len(order) + 1)])

    def run(number: str, *, progress: bool) -> None:
        if (source := _READS.get(number)) in finished:
            finished[source].wait()
        if stopping.is_set():
            return
        notebook = notebooks[number]
        say(f"running {notebook.name} ({next(places)})")
        try:
            executed = run_notebook(notebook, plans[notebook], progress=progress, stopping=stopping)
            batch.executed[notebook.stem] = executed
        except Sam2VssError as error:
            say(f"error: {error}")
            batch.failures[notebook.stem] = error
        finally:
            finished[number].set()
            ensure_event_loop().close()  # nbclient opens one per thread and leaves it open

    together = [number for number in order if number not in TIMED]
    workers = max(1, min(workers, len(together)))
    for numbers, at_once in ((together, workers), (order[len(together) :], 1)):
        with _threads_of(at_once), ThreadPoolExecutor(at_once) as pool:
            try:
                # one progress bar at a time can be read
                list(pool.map(partial(run, progress=at_once == 1), numbers))
            except KeyboardInterrupt:
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for event in finished.values():
                    event.set()
                children = psutil.Process().children()
                end_processes(p for p in children if "ipykernel" in str(p.cmdline()))
                raise
    return batch


@contextmanager
def _threads_of(workers: int) -> Generator[None]:
    """Kernels started inside share the processor: torch takes its threads from this variable."""
    name = "OMP_NUM_THREADS"
    if workers == 1 or name in os.environ:
        yield
        return
    os.environ[name] = str(threads_each(workers))
    try:
        yield
    finally:
        del os.environ[name]


def reuse_table(executed: Mapping[str, Path]) -> str:
    """How many of the clips that each stage of each executed notebook needed were there, as text.

    Returns:
        A table with a line a stage and a column a notebook; a sentence where no stage was run.
    """
    runs = [
        {"notebook": name[:2], **stage}
        for name, path in executed.items()
        for stage in read_json(path.with_name("provenance.json"))["stages"]
    ]
    if not runs:
        return "no stage was run, nothing reused"
    sums = pd.DataFrame(runs).pivot_table(
        ["reused", "clips"], "stage", "notebook", aggfunc="sum", fill_value=0,
        margins=True, margins_name="all", sort=False,
    )  # fmt: skip
    table = (sums["reused"].astype(str) + "/" + sums["clips"].astype(str)).replace("0/0", "")
    table.index.name = table.columns.name = None
    return (
        "clips reused / needed, by stage and notebook (what was computed for several notebooks "
        f"before they ran counts as reused in each):\n{table.to_string()}"
    )
