"""Processes give what a loop gives, and a killed one is said in one line."""

import os
import signal

import pytest

from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.parallel.processes import map_in_processes


def square(number: int) -> int:
    return number * number


def die(_number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def refuse(number: int) -> int:
    raise SettingsError(f"number is {number}")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int):
    assert list(map_in_processes(square, range(9), workers=workers, what="square")) == [
        number * number for number in range(9)
    ]
    assert list(map_in_processes(square, [], workers=workers, what="square")) == []


def test_a_killed_process_is_an_error():
    with pytest.raises(RunError, match="die: a worker process was killed"):
        list(map_in_processes(die, range(2), workers=2, what="die"))


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(workers: int):
    with pytest.raises(SettingsError, match="number is 0"):
        list(map_in_processes(refuse, range(2), workers=workers, what="refuse"))


def test_no_worker_is_refused():
    with pytest.raises(SettingsError, match="workers is 0; it must be at least 1"):
        list(map_in_processes(square, [1], workers=0, what="square"))
