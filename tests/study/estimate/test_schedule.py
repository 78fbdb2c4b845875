"""List scheduling: bounds that hold for any tasks, and a slow scheduler that agrees."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.study.estimate.schedule import makespan_s

DURATIONS = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))
TASKS = st.lists(st.tuples(DURATIONS, st.integers(0, 40)), max_size=8)


def one_by_one(tasks: list[tuple[float, int]], workers: int) -> float:
    """Every task goes to the worker with the least to do so far."""
    loads = [0.0] * workers
    for seconds, count in tasks:
        for _ in range(count):
            place = min(range(workers), key=loads.__getitem__)
            loads[place] += seconds
    return max(loads)


@given(TASKS, st.integers(1, 9))
def test_it_is_what_handing_out_one_by_one_gives(tasks: list[tuple[float, int]], workers: int):
    assert makespan_s(tasks, workers) == pytest.approx(one_by_one(tasks, workers), rel=1e-9)
    longest_first = sorted(tasks, reverse=True)
    expected = one_by_one(longest_first, workers)
    assert makespan_s(longest_first, workers) == pytest.approx(expected, rel=1e-9)


@given(TASKS, st.integers(1, 50))
def test_it_lies_between_its_bounds(tasks: list[tuple[float, int]], workers: int):
    total = sum(seconds * count for seconds, count in tasks)
    longest = max((seconds for seconds, count in tasks if count), default=0.0)
    found, slack = makespan_s(sorted(tasks, reverse=True), workers), 1 + 1e-9
    assert found * slack >= max(total / workers, longest)
    assert found <= (total / workers + longest) * slack
    assert makespan_s(tasks, 1) == pytest.approx(total)


def test_rounding_does_not_lead_back_to_one_by_one():
    # loads so large that rounding puts workers a bit further apart than one task: without room for
    # that, this would take many minutes
    tasks, workers = [(193.11465231957757, 434_484_518), (190.7116689661779, 565_515_482)], 1000
    total = sum(seconds * count for seconds, count in tasks)
    found = makespan_s(tasks, workers)
    assert total / workers * (1 - 1e-9) <= found <= total / workers * (1 + 1e-9) + tasks[0][0]


def test_nothing_takes_no_time():
    assert makespan_s([], 3) == 0
    assert makespan_s([(5.0, 0)], 3) == 0


def test_memory_is_that_of_the_workers():
    def peak(count: int) -> int:
        tracemalloc.start()
        makespan_s(((1.0 + n / 7, count) for n in range(5, 0, -1)), 100)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert abs(peak(1_000_000) - peak(1_000)) < 4096
