"""What is handed over is done in order, and what goes wrong in it is heard of."""

import threading
import time

import pytest

from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.engines.batched.drawing import handover
from sam2vss_lib.masklets.engines.batched.drawing.handover import Handover


def test_jobs_are_done_in_order_by_another_thread() -> None:
    done: list[tuple[int, bool]] = []
    main = threading.get_ident()
    with Handover("test") as jobs:
        for number in range(20):
            jobs.put(lambda n=number: done.append((n, threading.get_ident() != main)))
    assert done == [(number, True) for number in range(20)]


def test_few_jobs_wait() -> None:
    go, put = threading.Event(), list[int]()

    def wait() -> None:
        go.wait()

    def fill() -> None:
        with Handover("test") as jobs:
            for number in range(10):
                jobs.put(wait)
                put.append(number)

    filling = threading.Thread(target=fill)
    filling.start()
    while len(put) < handover._AHEAD:
        time.sleep(0.001)
    time.sleep(0.05)
    waiting = len(put)
    go.set()
    filling.join()
    assert waiting == handover._AHEAD
    assert len(put) == 10


def fail() -> None:
    raise DataError("disk: full")


@pytest.mark.parametrize("more", [0, 1, 10])
def test_an_error_in_a_job_is_raised(more: int) -> None:
    def work() -> None:
        with Handover("failing") as jobs:
            jobs.put(fail)
            for _ in range(more):
                jobs.put(lambda: None)

    with pytest.raises(DataError, match="disk: full"):
        work()
    assert not any(thread.name.startswith("failing") for thread in threading.enumerate())


def test_jobs_that_wait_are_left_at_ctrl_c() -> None:
    started, go, done = threading.Event(), threading.Event(), list[int]()

    def slow() -> None:
        started.set()
        go.wait()

    def interrupted() -> None:
        with Handover("test") as jobs:
            jobs.put(slow)
            jobs.put(lambda: done.append(1))
            started.wait()
            threading.Timer(0.05, go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == []
