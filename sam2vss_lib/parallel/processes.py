"""Work on many items in parallel processes, with progress on a terminal."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context
from multiprocessing.context import BaseContext
from typing import TypeVar

import psutil
from tqdm import tqdm

from sam2vss_lib.errors import RunError, SettingsError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def map_in_processes(
    function: Callable[[ItemT], ResultT], items: Sequence[ItemT], *, workers: int, what: str
) -> Iterator[ResultT]:
    """Call a function for every item; results come in the order of the items.

    With one worker, or a single item, everything runs in this process; else function, items and
    results must pickle (see `process_pool`). `what` names the progress bar, which is shown on a
    terminal only.

    Yields:
        The result of each item.

    Raises:
        RunError: a process was killed.
        SettingsError: `workers` is less than 1.
    """
    if workers < 1:
        raise SettingsError(f"workers is {workers}; it must be at least 1")
    with tqdm(total=len(items), desc=what, disable=None) as bar:  # None: terminals only
        if min(workers, len(items)) <= 1:
            for item in items:
                yield function(item)
                bar.update()
            return
        with process_pool(min(workers, len(items)), what) as pool:
            for result in pool.map(function, items):
                yield result
                bar.update()


@contextmanager
def process_pool(
    workers: int, what: str, context: BaseContext | None = None
) -> Generator[ProcessPoolExecutor]:
    """Processes that are gone when the block ends; what was not begun then is not done.

    They are of a context, by default fresh interpreters, as a fork of a process with threads
    (torch, progress bars) may hang. So functions and arguments must pickle, and a script needs
    `if __name__ == "__main__":`.

    Raises:
        RunError: a process was killed; `what` says at what.
    """
    context, others = context or get_context("spawn"), {*active_children()}
    with ProcessPoolExecutor(workers, context, _heed_driver_only) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise killed(what) from None
        except (KeyboardInterrupt, GeneratorExit):
            # else they would finish what they are at
            ours = {*active_children()} - others
            end_processes(psutil.Process(child.pid) for child in ours)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # no use finishing after a failure


def killed(what: str) -> RunError:
    """The error that a process was killed at `what`."""
    said = f"{what}: a worker process was killed, likely for lack of memory"
    return RunError(f"{said}; use fewer --workers")


def threads_each(workers: int) -> int:
    """How many threads each of so many processes may have, that together fill the machine."""
    return max(1, (os.cpu_count() or 1) // workers)


def end_processes(processes: Iterable[psutil.Process], patience_s: float = 5.0) -> None:
    """End processes: politely first, so that they can clean up."""
    remaining = list(processes)
    for stop in (psutil.Process.terminate, psutil.Process.kill):
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                stop(process)
        _, remaining = psutil.wait_procs(remaining, timeout=patience_s)


def _heed_driver_only() -> None:
    """A worker leaves Ctrl-C to the driver, which ends it by a signal that cleans up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
