"""Items over Ray workers: what a loop gives, whichever of them die on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.errors import DataError, RunError, SettingsError
from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray
from tests.parallel.ray_cluster import NODE, simulated_cluster

pytest.importorskip("ray", reason="the extra [cluster] is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A machine with two processors."""
    with simulated_cluster() as made:
        yield made


@pytest.fixture
def pool(cluster: Any) -> RayPool:
    return RayPool(address=cluster.address)


def run(make_work: Callable[[], Any], items: list[Any], pool: RayPool, costs: Any = None) -> Any:
    names = [f"item {i}" for i in range(len(items))]
    costs = costs or [1] * len(items)
    return map_on_ray(make_work, items, pool, costs=costs, names=names, what="test", unit="item")


def squares() -> Callable[[int], int]:
    return lambda item: item * item


def test_results_come_in_the_order_of_the_items(pool: RayPool) -> None:
    assert run(squares, list(range(7)), pool) == [item * item for item in range(7)]
    assert run(squares, [], pool) == []


def note(log: Path, item: str) -> str:
    with log.open("a") as stream:
        stream.write(f"{item}\n")
    time.sleep(0.05)
    return item


def test_the_dearest_are_begun_first(pool: RayPool, tmp_path: Path) -> None:
    one = RayPool(1, pool.address)
    work = partial(partial, note, tmp_path / "log")
    assert run(work, ["a", "b", "c"], one, costs=[1, 3, 2]) == ["a", "b", "c"]
    assert (tmp_path / "log").read_text().split() == ["b", "c", "a"]


def test_workers_keep_what_they_have_loaded(pool: RayPool, tmp_path: Path) -> None:
    def load() -> Callable[[int], int]:
        note(tmp_path / "log", str(os.getpid()))
        return lambda item: os.getpid()

    pids = run(load, list(range(9)), RayPool(2, pool.address))
    loaded = (tmp_path / "log").read_text().split()
    assert {str(pid) for pid in pids} <= {*loaded}
    assert len({*loaded}) == len(loaded) <= 2


def refuse(bad: set[int], item: int) -> int:
    if item in bad:
        raise DataError(f"no {item}")
    return item


def test_an_item_that_fails_does_not_stop_the_others(pool: RayPool, tmp_path: Path) -> None:
    def work(item: int) -> int:
        (tmp_path / str(item)).touch()
        return refuse({1, 3}, item)

    with pytest.raises(DataError, match=r"^item 1: no 1 \(1 more of 5 failed too\)$"):
        run(lambda: work, list(range(5)), pool)
    assert len(list(tmp_path.iterdir())) == 5


def test_an_error_of_any_kind_is_one_line(pool: RayPool) -> None:
    with pytest.raises(RunError, match=r"^item 0: ZeroDivisionError: "):
        run(lambda: lambda item: 1 // item, [0, 1], pool)


def test_what_cannot_be_loaded_is_said_once(pool: RayPool) -> None:
    def load() -> Any:
        raise DataError("no such checkpoint")

    with pytest.raises(DataError, match=r"^no such checkpoint$"):
        run(load, [1, 2, 3], pool)


def die_once(folder: Path, item: int) -> int:
    mark = folder / str(item)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_worker_that_dies_is_replaced(
    pool: RayPool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(partial(partial, die_once, tmp_path), [0, 1, 2], pool) == [0, 1, 2]
    assert capsys.readouterr().out == ""  # what Ray says of it does not mix with --json


def die(item: int) -> None:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_item_that_kills_every_worker_is_given_up(pool: RayPool) -> None:
    with pytest.raises(RunError, match=r"^item 1: 2 workers died at it"):
        run(lambda: die, [0, 1, 2], RayPool(2, pool.address, tries=2))


def test_workers_that_die_while_they_start_are_given_up(pool: RayPool) -> None:
    with pytest.raises(RunError, match="workers die while they start"):
        run(lambda: os.kill(os.getpid(), signal.SIGKILL), [0], RayPool(1, pool.address, tries=1))


def say_where(folder: Path, item: int) -> int:
    import ray

    (folder / ray.get_runtime_context().get_node_id()).touch()
    time.sleep(1)
    return item


@pytest.mark.slow
def test_items_of_a_machine_that_has_left_for_good_are_done_elsewhere(tmp_path: Path) -> None:
    with simulated_cluster(1) as cluster:
        node = cluster.add_node(num_cpus=1, **NODE)
        cluster.wait_for_nodes()

        def leave_when_at_work() -> None:
            while not (tmp_path / node.node_id).exists():
                time.sleep(0.01)
            cluster.remove_node(node, allow_graceful=False)

        leaving = threading.Thread(target=leave_when_at_work, daemon=True)
        leaving.start()
        work = partial(partial, say_where, tmp_path)
        assert run(work, [0, 1, 2, 3], RayPool(2, cluster.address)) == [0, 1, 2, 3]
        leaving.join()


def test_bad_settings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="a number of workers or the address"):
        RayPool()
    with pytest.raises(SettingsError, match="workers is 0"):
        RayPool(0)
    with pytest.raises(SettingsError, match="address of the Ray cluster is empty"):
        RayPool(address=" ")
    for address in ("127.0.0.1:1", "nowhere:x"):
        with pytest.raises(SettingsError, match=f"no Ray cluster at {address}: "):
            run(squares, [1], RayPool(address=address))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r'ray is not installed.*"sam2vss\[cluster\]"'):
        run(squares, [1], RayPool(1))


DRIVER = """
import resource, sys
from functools import partial
from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray
from sam2vss_lib.datasets import Clip, Dataset
def count():
    return lambda dataset: dataset.clips[0].num_frames
if __name__ == "__main__":
    from dataclasses import replace
    from sam2vss_lib.datasets import open_dataset
    address, root, clips = sys.argv[1], sys.argv[2], int(sys.argv[3])
    whole = open_dataset(root, "val")
    # as many as asked for, under the same name: only their number matters
    many = [replace(whole, clips=(whole.clips[i % 2],)) for i in range(clips)]
    done = map_on_ray(count, many, RayPool(1, address), costs=[1] * clips, names=[""] * clips,
                      what="", unit="")
    assert len(done) == clips
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_the_drivers_memory_does_not_grow_with_the_clips(
    cluster: Any, tiny_vspw: Path, tmp_path: Path
) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    peaks_mib: list[float] = []
    for clips in (10, 10_000):
        run = [sys.executable, tmp_path / "driver.py", cluster.address, tiny_vspw, str(clips)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=600, check=True)
        peaks_mib.append(float(done.stdout))
    print(f"driver's peak: {peaks_mib[0]:.0f} MiB for 10 clips, {peaks_mib[1]:.0f} for 10,000")
    assert peaks_mib[1] < 1.1 * peaks_mib[0]
