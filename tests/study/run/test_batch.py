"""Several notebooks at a time: none stops the others, and what times something runs alone."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.errors import DataError
from sam2vss_lib.study.run import batch
from sam2vss_lib.study.run.batch import run_notebooks

NAMES = ("01_a", "04_b", "05_c", "08_cost")
PLANS: dict[Path, dict[str, Any]] = {Path(f"{name}.ipynb"): {} for name in NAMES}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int | None]]:
    """What was run: name, how many ran at that time, and the threads each was given."""
    seen: list[tuple[str, int, int | None]] = []
    running: list[str] = []

    def run(
        notebook: Path, parameters: dict[str, Any], threads: int | None = None, **_: Any
    ) -> Path:
        running.append(notebook.stem)
        time.sleep(0.05)
        seen.append((notebook.stem, len(running), threads))
        running.remove(notebook.stem)
        if notebook.stem == "04_b":
            raise DataError("no such file")
        return notebook.with_name("executed.ipynb")

    monkeypatch.setattr(batch, "run_notebook", run)
    return seen


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_does_not_stop_the_others(ran: list[Any], workers: int) -> None:
    said: list[str] = []
    done = run_notebooks(PLANS, workers, said.append)
    assert set(done.executed) == {"01_a", "05_c", "08_cost"}
    assert {name: str(error) for name, error in done.failures.items()} == {"04_b": "no such file"}
    assert "error: no such file" in said


def test_workers_share_the_threads_and_the_cost_analysis_runs_alone(ran: list[Any]) -> None:
    run_notebooks(PLANS, 2, lambda _: None)
    assert [name for name, _, _ in ran][-1] == "08_cost"
    at_once = {name: (count, threads) for name, count, threads in ran}
    share = max(1, (os.cpu_count() or 1) // 2)
    assert at_once["08_cost"] == (1, None)
    assert at_once["01_a"][1] == at_once["05_c"][1] == share
    assert max(count for count, _ in at_once.values()) == 2


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_what_reads_another_result_waits_for_it(ran: list[Any], workers: int) -> None:
    names = ("01_a", "02_second", "03_c", "04_d", "05_e", "10_f", "08_cost")
    run_notebooks({Path(f"{name}.ipynb"): {} for name in names}, workers, lambda _: None)
    order = [name for name, _, _ in ran]
    assert order.index("01_a") < order.index("02_second")
    assert order[-1] == "08_cost"
    ran.clear()
    run_notebooks({Path("02_second.ipynb"): {}}, workers, lambda _: None)
    assert len(ran) == 1  # nothing to wait for
