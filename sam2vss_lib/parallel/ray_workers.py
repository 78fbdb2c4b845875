"""Many items over processes on Ray, on one machine or many: nothing lost when one of them dies."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from sam2vss_lib.errors import RunError, Sam2VssError, SettingsError, naming_extras

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Work = Callable[[ItemT], ResultT]

_OBJECT_STORE_BYTES = 100 * 2**20  # items and results are small; Ray would take a third of memory


@dataclass(frozen=True)
class RayPool:
    """Where items are worked on.

    Attributes:
        workers: processes, each with one thread, so that results do not depend on how many there
            are; None for one per GPU of a cluster or, where it has none, one per processor.
        address: of a running cluster, as `ray.init` takes it; None starts Ray on this machine.
        gpu: whether workers use GPUs where there are some.
        tries: how often an item is begun before the death of its workers is blamed on it.
    """

    workers: int | None = None
    address: str | None = None
    gpu: bool = False
    tries: int = 4

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingsError: too few workers, or nothing says how many.
        """
        if self.workers is None and self.address is None:
            raise SettingsError("give a number of workers or the address of a Ray cluster")
        if self.address is not None and not self.address.strip():
            raise SettingsError("the address of the Ray cluster is empty; give HOST:PORT")
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"workers is {self.workers}; it must be at least 1")


class _Pool(Generic[ItemT, ResultT]):
    """Workers, what they are at, and what is left to do.

    Args:
        ray: the module.
        make_work: called once by every worker.
        items: what there is to do.
        costs: of each; the dearest are begun first, so that none is left alone at the end.
        tries: see `RayPool`.
        actor: makes a remote `_Worker`.
    """

    def __init__(
        self,
        ray: Any,
        make_work: Callable[[], Work[ItemT, ResultT]],
        items: Sequence[ItemT],
        costs: Sequence[int],
        tries: int,
        actor: Any,
    ) -> None:
        self._ray, self._make_work, self._items, self._tries = ray, make_work, items, tries
        self._actor = actor
        self._waiting = deque(sorted(range(len(items)), key=lambda i: -costs[i]))
        self._at: dict[Any, tuple[Any, int | None]] = {}  # future -> worker, item; None: starting
        self._begun = Counter[int | None]()
        self.results: dict[int, ResultT] = {}
        self.failures: dict[int, Sam2VssError] = {}

    def add_worker(self) -> None:
        """Start one more; it is given work when it is ready, wherever and whenever that is."""
        worker = self._actor.remote(self._make_work)
        self._at[worker.ready.remote()] = worker, None

    def step(self) -> int | None:
        """Wait for one answer and hand out the next item; returns the item that was finished."""
        done, _ = self._ray.wait([*self._at], num_returns=1)
        worker, item = self._at.pop(done[0])
        try:
            answer = self._ray.get(done[0])
        except self._ray.exceptions.RayTaskError as error:
            answer = RunError(f"{type(error.cause).__name__}: {str(error.cause).splitlines()[0]}")
        except self._ray.exceptions.RayError:  # the process or its machine is gone
            self._ray.kill(worker)
            return self._lost(item)
        if isinstance(answer, Sam2VssError):
            if item is None:
                raise answer  # no model, no work
            self.failures[item] = answer
        elif item is not None:
            self.results[item] = answer
        if self._waiting:
            following = self._waiting.popleft()
            self._at[worker.run.remote(self._items[following])] = worker, following
        return item

    def _lost(self, item: int | None) -> None:
        self._begun[item] += 1
        if item is None and self._begun[item] > self._tries * (1 + len(self._items)):
            raise RunError("workers die while they start, likely for lack of memory; use fewer")
        if item is not None and self._begun[item] < self._tries:
            self._waiting.appendleft(item)
        elif item is not None:
            self.failures[item] = RunError(
                f"{self._tries} workers died at it, likely for lack of memory"
            )
        self.add_worker()

    @property
    def busy(self) -> bool:
        """Whether there is anything left to wait for."""
        return bool(self._waiting) or any(item is not None for _, item in self._at.values())


class _Worker:
    """What runs in a process of its own."""

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
    costs: Sequence[int],
    names: Sequence[str],
    what: str,
    unit: str,
) -> list[ResultT]:
    """Call a function for every item in worker processes; those that die are replaced.

    A worker has one item at a time, so that the driver holds no more than the items' results. An
    item that fails does not stop the others.

    Args:
        make_work: called once by every worker, to load models and so on; returns the function.
            Both must pickle, and so must items and results.
        items: the function's arguments.
        pool: where.
        costs: of each item, such as its number of frames; the dearest are begun first.
        names: of the items, for errors.
        what: name of the progress bar, which is shown on a terminal only.
        unit: of the costs, for the progress bar's rate.

    Returns:
        The results, in the order of the items.

    Raises:
        SettingsError: Ray is not installed, or there is no cluster at the address.
        Sam2VssError: of the first item that failed, with the number of the others.
    """
    if not items:
        return []
    # what Ray has to say of a dead worker is no part of our result
    with redirect_stdout(sys.stderr), _connected(pool) as (ray, count, gpus):
        actor = ray.remote(num_cpus=1, num_gpus=gpus)(_Worker)
        work = _Pool(ray, make_work, items, costs, pool.tries, actor)
        for _ in range(min(count, len(items))):
            work.add_worker()
        with tqdm(total=sum(costs), desc=what, unit=unit, disable=None) as bar:
            while work.busy:
                if (finished := work.step()) is not None:
                    bar.update(costs[finished])
    if work.failures:
        first = min(work.failures)
        error, others = work.failures[first], len(work.failures) - 1
        more = f" ({others} more of {len(items)} failed too)" if others else ""
        raise type(error)(f"{names[first]}: {error}{more}")
    return [work.results[i] for i in range(len(items))]


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
    here: dict[str, Any] = {"num_cpus": pool.workers, "include_dashboard": False}
    here["object_store_memory"] = _OBJECT_STORE_BYTES
    try:
        ray.init(
            address=pool.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if pool.address else here),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        if "InvalidAuthToken" in str(error.__cause__):
            reason = "it wants its token (~/.ray/auth_token); export RAY_AUTH_MODE=token"
        raise SettingsError(f"no way into the Ray cluster at {pool.address}: {reason}") from None
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
