"""Jobs that wait for each other's files, done by parallel processes, what holds up most first."""

from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

from sam2vss_lib.parallel.processes import killed, process_pool


@dataclass(frozen=True)
class Job:
    """A piece of work, which leaves its result on disk."""

    name: Hashable
    kind: str  # for people
    work: Callable[[], Any]  # must pickle, unless `here`
    cost: float  # roughly how long it takes, all in one unit; more than 0
    needs: frozenset[Hashable] = frozenset()  # jobs to be done before
    here: bool = False  # in a thread of this process, as it starts and awaits one of its own


def run_jobs(
    jobs: Iterable[Job],
    *,
    workers: int,
    what: str,
    done: Callable[[Job, Any], None],
    interrupted: Callable[[], None] = lambda: None,
    context: BaseContext | None = None,
) -> None:
    """Do all jobs, `workers` at a time; one worker does them in this very thread.

    Of those that can begin that one begins which the longest chain of others waits for. `done` is
    called in this thread with each job and what its work has returned, or a `RunError` when a
    process was killed, after which none of those in processes can be done. A job that fails says so
    by what it returns; those that need it begin all the same. `interrupted` ends what the threads
    await; processes are of a `context`, as for `process_pool`.

    Raises:
        Exception: what a job's work raises; nothing else begins then.
        ValueError: jobs need each other in a circle, or one that is not there.
    """
    waiting = _in_order({job.name: job for job in jobs})
    if workers == 1:
        with _interruptible(interrupted):
            for job in waiting:
                done(job, job.work())
        return
    threads, unfinished = ThreadPoolExecutor(workers), {job.name for job in waiting}
    running: dict[Future[Any], Job] = {}
    try:
        with process_pool(workers, what, context) as processes, _interruptible(interrupted):
            while unfinished:
                for job in [job for job in waiting if job.needs.isdisjoint(unfinished)]:
                    if len(running) < workers:
                        waiting.remove(job)
                        running[_begun(threads if job.here else processes, job)] = job
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    done(job, _outcome(future, what))
                    unfinished.remove(job.name)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _interruptible(interrupted: Callable[[], None]) -> Generator[None]:
    try:
        yield
    except KeyboardInterrupt:
        interrupted()
        raise


def _begun(pool: Executor, job: Job) -> Future[Any]:
    try:
        return pool.submit(job.work)
    except BrokenProcessPool as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _outcome(future: Future[Any], what: str) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        return killed(what)


def _in_order(jobs: Mapping[Hashable, Job]) -> list[Job]:
    """All jobs, those first which the longest chain waits for; so each is behind what it needs."""
    behind: dict[Hashable, list[Hashable]] = {name: [] for name in jobs}
    for job in jobs.values():
        for needed in job.needs:
            if needed not in jobs:
                raise ValueError(f"{job.name} needs {needed}, which is no job")
            behind[needed].append(job.name)
    chain: dict[Hashable, float] = {}

    def length(name: Hashable, above: tuple[Hashable, ...] = ()) -> float:
        if name in above:
            raise ValueError(f"jobs need each other: {name}")
        if name not in chain:
            longest = max((length(one, (*above, name)) for one in behind[name]), default=0)
            chain[name] = jobs[name].cost + longest
        return chain[name]

    return sorted(jobs.values(), key=lambda job: -length(job.name))
