"""Jobs are done once, behind what they need, and what holds up most first."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.parallel.job_graph import Job, run_jobs


def touch(folder: Path, name: int, needs: frozenset[int]) -> str:
    assert all((folder / str(other)).is_file() for other in needs)
    (folder / str(name)).touch()
    return f"{name} done"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    raise SettingsError("no")


def answers(jobs: list[Job], workers: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    run_jobs(jobs, workers=workers, what="test", done=lambda j, a: found.update({j.name: a}))
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_find_what_they_need(workers: int, tmp_path: Path) -> None:
    jobs = [
        Job(
            name,
            "touch",
            partial(touch, tmp_path, name, needs := frozenset({name + 2, name + 3} & {*range(9)})),
            1,
            needs,
            here=bool(name % 2),
        )
        for name in range(9)
    ]
    assert answers(jobs, workers) == {name: f"{name} done" for name in range(9)}


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8), st.randoms())
def test_each_job_is_done_once_behind_its_needs(behind: list[set[int]], random: Any) -> None:
    order: list[Any] = []
    jobs = [
        Job(n, "", partial(order.append, n), 1, frozenset(m for m in earlier if m < n))
        for n, earlier in enumerate(behind)
    ]
    random.shuffle(jobs)
    answers(jobs, 1)
    assert sorted(order) == [*range(len(behind))]
    assert all(order.index(need) < order.index(job.name) for job in jobs for need in job.needs)


def test_the_longest_chain_begins_first() -> None:
    order: list[str] = []

    def job(name: str, cost: float, *needs: str) -> Job:
        return Job(name, "", partial(order.append, name), cost, frozenset(needs))

    answers([job("a", 3), job("end", 9, "b"), job("b", 1), job("c", 2)], 1)
    assert order == ["b", "end", "a", "c"]


def test_a_killed_process_is_the_answer_of_all_that_processes_had_to_do() -> None:
    jobs = [Job("dies", "", die, 9), *(Job(n, "", die, 1, frozenset({"dies"})) for n in range(2))]
    jobs.append(Job("here", "", str, 1, frozenset({"dies"}), here=True))
    found = answers(jobs, 2)
    assert found.pop("here") == ""
    assert {type(answer) for answer in found.values()} == {RunError}
    assert "a worker process was killed" in str(found[1])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("here", [False, True])
def test_errors_come_through(workers: int, here: bool) -> None:
    with pytest.raises(SettingsError, match="no"):
        answers([Job("refuses", "", refuse, 1, here=here)], workers)


@pytest.mark.parametrize(
    ("needs", "said"), [({"b"}, "need each other"), ({"x"}, "needs x, which is no job")]
)
def test_what_cannot_be_ordered_is_refused(needs: set[str], said: str) -> None:
    work: Callable[[], Any] = dict
    jobs = [Job("a", "", work, 1, frozenset(needs)), Job("b", "", work, 1, frozenset({"a"}))]
    with pytest.raises(ValueError, match=said):
        answers(jobs, 1)
