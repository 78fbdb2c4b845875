"""Many items over processes on Ray, on one machine or many: nothing lost when one of them dies."""

import logging
import os
import signal
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from threading import current_thread, main_thread
from typing import Any, TypeVar

from tqdm import tqdm

from sam2vss_lib.errors import RunError, Sam2VssError, SettingsError, first_line, naming_extras

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Work = Callable[[ItemT], ResultT]

_OBJECT_STORE_BYTES = 100 * 2**20  # items and results are small; Ray would take a third of memory


@dataclass(frozen=True)
class RayPool:
    """Where items are worked on.

    Workers are processes, each with one thread, so that results do not depend on how many there
    are; None is one per GPU of a cluster or, where it has none, one per processor.
    """

    workers: int | None = None
    address: str | None = None  # of a cluster, as ray.init takes it; None: Ray on this machine
    gpu: bool = False  # whether workers use GPUs where there are some
    tries: int = 4  # at an item, before the death of its workers is blamed on it

    def __post_init__(self) -> None:
        """Raise a `SettingsError` for too few workers, or where nothing says how many."""
        if self.workers is None and self.address is None:
            raise SettingsError("give a number of workers or the address of a Ray cluster")
        if self.address is not None and not self.address.strip():
            raise SettingsError("the address of the Ray cluster is empty; give HOST:PORT")
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"workers is {self.workers}; it must be at least 1")


class _WorkerDiedError(RunError):
    """The process of a worker, or its machine, is gone."""


def _outcomes(
    ray: Any,
    start_worker: Callable[[], Any],
    workers: int,
    items: Sequence[Any],
    order: Iterable[int],
    tries: int,
) -> Iterator[tuple[int, Any]]:
    """Give each worker one item after the other, and replace workers that die.

    Ray's own retries bind a call to its worker: when a machine leaves, the calls of its workers use
    up their tries on an address that is gone, whoever else has time for them. Here what a dead
    worker was at is the next item that is begun, wherever that is.

    `start_worker` gives a remote `_Worker`, which lives as soon as there is room for it; `workers`
    of them are there at a time, while there is work. Items are begun in `order`, by their indices.

    Yields:
        As it is done, each item's index, and its result or the `Sam2VssError` that came of it.

    Raises:
        Sam2VssError: a worker cannot load its work, or too many die while they load it.
    """
    waiting, deaths, dead_starts = deque(order), Counter[int](), 0
    worker_of: dict[Any, Any] = {}  # by the future that the worker will answer
    item_of: dict[Any, int] = {}  # by the same, unless the worker is only starting
    while waiting or item_of:
        for _ in range(min(workers, len(waiting) + len(item_of)) - len(worker_of)):
            worker = start_worker()
            worker_of[worker.ready.remote()] = worker
        (future,), _ = ray.wait([*worker_of], num_returns=1)
        worker, answer = worker_of.pop(future), _answer(ray, future)
        is_dead = isinstance(answer, _WorkerDiedError)
        if future not in item_of:
            dead_starts += is_dead
            if dead_starts > tries * (1 + len(items)):
                raise RunError("workers die while they start, likely for lack of memory; use fewer")
            if answer is not None and not is_dead:
                raise answer  # no model, no work
        else:
            item = item_of.pop(future)
            deaths[item] += is_dead
            if not is_dead:
                yield item, answer
            elif deaths[item] < tries:
                waiting.appendleft(item)
            else:
                yield item, RunError(f"{tries} workers died at it, likely for lack of memory")
        if waiting and not is_dead:
            item = waiting.popleft()
            future = worker.run.remote(items[item])
            worker_of[future], item_of[future] = worker, item
        else:
            ray.kill(worker)  # there is nothing left for it, or it is out of reach


def _answer(ray: Any, future: Any) -> Any:
    """What a worker gives, or the error that came of it."""
    try:
        return ray.get(future)
    except ray.exceptions.RayTaskError as error:
        return RunError(f"{type(error.cause).__name__}: {first_line(error.cause)}")
    except ray.exceptions.RayError as error:
        return _WorkerDiedError(str(error))


class _Worker:
    """A worker loads its work and does items in a process of its own."""

    def __init__(self, make_work: Callable[[], Work[Any, Any]]) -> None:
        self._make_work = make_work

    def ready(self) -> Sam2VssError | None:
        """Load what the work needs."""
        try:
            self._work = self._make_work()
        except Sam2VssError as error:
            return error
        if torch := sys.modules.get("torch"):  # Ray's own setting, unless there was another
            torch.set_num_threads(1)
        return None

    def run(self, item: Any) -> Any:
        """The result, or the error that was raised on purpose."""
        try:
            return self._work(item)
        except Sam2VssError as error:
            return error


def map_on_ray(
    make_work: Callable[[], Work[ItemT, ResultT]],
    items: Sequence[ItemT],
    pool: RayPool,
    *,
    costs: Sequence[float],
    names: Sequence[str],
    what: str,
    unit: str,
) -> list[ResultT]:
    """Call a function for every item in worker processes; those that die are replaced.

    A worker has one item at a time, so that the driver holds no more than the items' results. An
    item that fails does not stop the others. `make_work` is called once by every worker, to load
    models and so on, and returns the function; both must pickle, and so must items and results.

    Items have costs, such as their numbers of frames, of which the dearest are begun first, and
    names, for errors. `what` names the progress bar, shown on a terminal only, which is in the unit
    of the costs.

    Returns:
        The results, in the order of the items.

    Raises:
        SettingsError: Ray is not installed, or there is no cluster at the address.
        Sam2VssError: of the first item that failed, with the number of the others.
    """
    if not items:
        return []
    outcomes: dict[int, Any] = {}
    # what Ray has to say of a dead worker is no part of our result
    with redirect_stdout(sys.stderr), _connected(pool) as (ray, count, gpus):
        actor = ray.remote(num_cpus=1, num_gpus=gpus)(_Worker)
        start_worker = partial(actor.remote, make_work)
        # the dearest first, so that none of them is left at the end
        order = sorted(range(len(items)), key=lambda i: -costs[i])
        with tqdm(total=sum(costs), desc=what, unit=unit, disable=None) as bar:
            for item, outcome in _outcomes(ray, start_worker, count, items, order, pool.tries):
                outcomes[item] = outcome
                bar.update(costs[item])
    failed = [i for i in range(len(items)) if isinstance(outcomes[i], Sam2VssError)]
    if failed:
        error = outcomes[failed[0]]
        more = f" ({len(failed) - 1} more of {len(items)} failed too)" if failed[1:] else ""
        raise type(error)(f"{names[failed[0]]}: {error}{more}")
    return [outcomes[i] for i in range(len(items))]


@contextmanager
def _connected(pool: RayPool) -> Generator[tuple[Any, int, float]]:
    """Ray, the number of workers, and the GPUs that each of them has."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # no GPU means none is seen
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own is 15: to give way to all others
    with naming_extras():
        import ray
    if pool.address:
        _check_reachable(pool.address)
    where: dict[str, Any] = {"address": pool.address or "local"}
    if not pool.address:
        where |= {"num_cpus": pool.workers, "include_dashboard": False}
        where |= {"object_store_memory": _OBJECT_STORE_BYTES}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        if "InvalidAuthToken" in str(error.__cause__):
            reason = "it wants its token (~/.ray/auth_token); export RAY_AUTH_MODE=token"
        raise SettingsError(f"no way into the Ray cluster at {pool.address}: {reason}") from None
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own leaves at once, without a word
    try:
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if pool.gpu else 0
        count = pool.workers or gpus or int(there.get("CPU", 1))
        yield ray, count, min(1.0, int(10_000 * gpus / count) / 10_000)
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Say at once that nobody is there, where Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return  # "auto" and the like
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise SettingsError(f"no Ray cluster at {address}: {error}; give HOST:PORT") from None
