"""Work on many items in parallel processes, with progress on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

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
        with ProcessPoolExecutor(min(workers, len(items)), get_context("spawn")) as pool:
            try:
                for result in pool.map(function, items):
                    yield result
                    bar.update()
            except BrokenProcessPool:
                raise RunError(
                    f"{what}: a worker process was killed, likely for lack of memory; use fewer "
                    "--workers"
                ) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # no use finishing after a failure
