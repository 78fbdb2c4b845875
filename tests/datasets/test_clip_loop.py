"""Several processes go through the same clips: each is done once, and nothing else is left."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sam2vss_lib.datasets import Clip, Dataset, open_dataset
from sam2vss_lib.datasets.clip_loop import each_clip, each_clip_overlapping
from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import held

DRIVER = """
import os, sys, time
from pathlib import Path
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.storage.files import write_text
root, outs = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
def work(clip):
    file = outs[0] / clip.name
    if file.exists():
        return True
    time.sleep(0.05)
    with (outs[0].parent / "log").open("a") as log:
        log.write(clip.name + chr(10))
    write_text(file, clip.name)
    return False
each_clip(open_dataset(root, "val"), outs, work, lambda clip: None)
"""


@pytest.fixture
def dataset(tiny_vspw: Path) -> Dataset:
    return open_dataset(tiny_vspw, "val")


def test_every_clip_is_done_in_order_and_counted(dataset: Dataset, tmp_path: Path) -> None:
    done: list[str] = []
    names = [clip.name for clip in dataset]
    assert each_clip(dataset, [tmp_path], lambda clip: clip.name == names[0], done.append) == 1
    assert done == names
    assert not (tmp_path / ".locks").exists()


def test_a_clip_that_another_is_at_comes_last_and_is_waited_for(
    dataset: Dataset, tmp_path: Path
) -> None:
    first = dataset.clips[0].name
    order: list[str] = []

    def work(clip: Clip) -> bool:
        order.append(clip.name)
        if clip.name != first:
            other.__exit__(None, None, None)  # the other is through with the first clip
        return False

    other = held(tmp_path / ".locks" / first)
    other.__enter__()
    each_clip(dataset, [tmp_path / "not there", tmp_path], work, lambda clip: None)
    assert order == [clip.name for clip in reversed(dataset.clips)]
    assert not (tmp_path / "not there").exists()


def test_a_failure_leaves_no_lock_and_no_folder(dataset: Dataset, tmp_path: Path) -> None:
    def work(clip: Clip) -> bool:
        raise DataError(clip.name)

    with pytest.raises(DataError):
        each_clip(dataset, [tmp_path / "out"], work, lambda clip: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("orders", [("a b", "a b"), ("a b", "b a")])
def test_processes_share_the_work_of_a_folder(
    tiny_vspw: Path, tmp_path: Path, orders: tuple[str, ...]
) -> None:
    run = [sys.executable, "-c", DRIVER, str(tiny_vspw)]
    drivers = [
        subprocess.Popen([*run, str(tmp_path / "a"), *(str(tmp_path / n) for n in order.split())])
        for order in orders
    ]
    assert [driver.wait() for driver in drivers] == [0, 0]
    assert sorted((tmp_path / "log").read_text().split()) == ["first", "second"]
    assert sorted(os.listdir(tmp_path / "a")) == ["first", "second"]


def test_a_lock_dies_with_its_process(dataset: Dataset, tmp_path: Path) -> None:
    lock = tmp_path / ".locks" / dataset.clips[0].name
    code = (
        "import sys, time; from pathlib import Path; from sam2vss_lib.storage.files import held\n"
        "with held(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(600)"
    )
    run = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with held(lock, wait=False) as mine:
            assert not mine
        process.kill()
    done: list[str] = []
    each_clip(dataset, [tmp_path], lambda clip: False, done.append)
    assert done == [clip.name for clip in dataset]


def test_a_clips_end_overlaps_the_next_ones_beginning(dataset: Dataset, tmp_path: Path) -> None:
    """The first is finished only after the second was begun, and both before the loop is left."""
    second_begun, done = threading.Event(), list[str]()
    first = dataset.clips[0].name

    def work(clip: Clip, finishing: ExitStack) -> None:
        if clip.name != first:
            second_begun.set()
            return
        finishing.callback(lambda: done.append(str(second_begun.wait(timeout=60))))
        assert not is_free(clip)

    def is_free(clip: Clip) -> bool:
        with held(tmp_path / ".locks" / clip.name, wait=False) as mine:
            return mine

    each_clip_overlapping(dataset, [tmp_path], work, done.append)
    assert done == ["True", *(clip.name for clip in dataset)]
    assert not (tmp_path / ".locks").exists()


def test_what_fails_at_a_clips_end_is_raised(dataset: Dataset, tmp_path: Path) -> None:
    def fail() -> None:
        raise DataError("disk: full")

    with pytest.raises(DataError, match="disk: full"):
        each_clip_overlapping(
            dataset, [tmp_path / "out"], lambda _, stack: stack.callback(fail), lambda clip: None
        )
    assert not (tmp_path / "out").exists()


def test_an_error_ends_the_contexts_of_its_clip_and_lets_the_one_before_be_finished(
    dataset: Dataset, tmp_path: Path
) -> None:
    ends: list[object] = []

    @contextmanager
    def watched() -> Generator[None]:
        try:
            yield
        except DataError:
            ends.append("error")
            raise
        ends.append("whole")

    def work(clip: Clip, finishing: ExitStack) -> None:
        finishing.enter_context(watched())
        if clip.name != dataset.clips[0].name:
            raise DataError(clip.name)

    with pytest.raises(DataError):
        each_clip_overlapping(dataset, [tmp_path / "out"], work, lambda clip: None)
    assert sorted(ends, key=str) == ["error", "whole"]
    assert not (tmp_path / "out").exists()
