"""Work on many items in parallel processes, with progress on a terminal."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import active_children, get_context
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

    Processes are fresh interpreters: a fork of a process with threads (torch, progress bars) may
    hang. So function, items and results must pickle, and a script that asks for more than one
    worker needs `if __name__ == "__main__":`. With one worker, or a single item, everything runs in
    this process. `what` names the progress bar, which is shown on a terminal only.

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
        context, others = get_context("spawn"), {child.pid for child in active_children()}
        with ProcessPoolExecutor(min(workers, len(items)), context, _heed_driver_only) as pool:
            try:
                for result in pool.map(function, items):
                    yield result
                    bar.update()
            except BrokenProcessPool:
                raise RunError(
                    f"{what}: a worker process was killed, likely for lack of memory; use fewer "
                    "--workers"
                ) from None
            except (KeyboardInterrupt, GeneratorExit):
                # else they would finish what they are at
                ours = {child.pid for child in active_children()} - others
                end_processes(psutil.Process(pid) for pid in ours)
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # no use finishing after a failure


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
