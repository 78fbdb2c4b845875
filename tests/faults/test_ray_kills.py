"""Workers on Ray, and the driver that has started them, are killed at random moments."""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.campaign import CLIPS, STAGES, Run, Watch, World, draws, finished

pytest.importorskip("ray", reason="the extra [cluster] is not installed")

WORKER_KILLS = 3  # per stage and run, so that no clip loses all its tries
WORKER, AT_WORK = "ray::_Worker", "ray::_Worker.run"  # what Ray calls its processes
WORKERS_GONE_LIMIT_S = 60
ALL_GONE_LIMIT_S = 180  # Ray's own agents ask for their dead cluster for a minute

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray keeps its files; sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    # Ray's workers give way to all other processes, which takes long on a busy machine
    monkeypatch.setenv("RAY_worker_niceness", "0")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def killed_clusters() -> list[tuple[set[psutil.Process], float]]:
    """The processes of drivers that were killed, and when."""
    return []


def title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def below(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def of_cluster(ray_folder: Path) -> set[psutil.Process]:
    """Processes that were started with a folder of Ray's, or say so."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(ray_folder) in title(process) or (
                process.environ().get("RAY_TMPDIR") == str(ray_folder)
            ):
                found.add(process)
    return found


def wait_until_gone(processes: set[psutil.Process], since_s: float, limit_s: float) -> float:
    """Seconds since a moment at which the last of them was found gone."""
    while left := [title(p) for p in processes if p.is_running()]:
        assert time.monotonic() - since_s < limit_s, left
        time.sleep(0.1)
    return time.monotonic() - since_s


def kill_workers(run: Run, rng: random.Random, kills: int) -> list[bool]:
    """SIGKILL workers one by one, starting or at work; says of each whether it was at work."""
    killed: list[bool] = []
    wanted = AT_WORK
    while len(killed) < kills and run.code is None:
        workers = [p for p in below(run.pid) if title(p).startswith(wanted)]
        if not workers:
            time.sleep(0.01)
            continue
        time.sleep(rng.uniform(0, 0.03 if wanted == AT_WORK else 0.3))
        worker = rng.choice(workers)
        at_work = title(worker).startswith(AT_WORK)
        with suppress(psutil.NoSuchProcess):
            worker.kill()
            killed.append(at_work)
            wanted = rng.choice((WORKER, AT_WORK))
    return killed


@pytest.mark.parametrize("stage", STAGES)
def test_workers_killed(
    world: World, tmp_path: Path, ray_folder: Path, stage: str, report: Callable[..., None]
) -> None:
    rng, killed, rounds = draws("workers", stage), list[bool](), 0
    while len(killed) < WORKER_KILLS:
        out = tmp_path / str(rounds)
        rounds += 1
        with Watch(out, stage) as watch:
            arguments = world.arguments(stage, out, "--workers=2")
            run = Run(arguments, tmp_path / "log", forked=False)
            killed += kill_workers(run, rng, WORKER_KILLS)
            run.succeed()
        assert watch.seen == finished(out, stage)
        world.check_same(stage, out)
    report(kills=len(killed), at_work=sum(killed), rounds=rounds, clips=rounds * CLIPS)


@pytest.mark.parametrize("stage", STAGES)
def test_driver_of_workers_killed(
    world: World,
    tmp_path: Path,
    ray_folder: Path,
    killed_clusters: list[tuple[set[psutil.Process], float]],
    stage: str,
    report: Callable[..., None],
) -> None:
    rng, out = draws("driver of workers", stage), tmp_path / "out"
    wanted = rng.choice((WORKER, AT_WORK))

    def start() -> Run:
        arguments = world.arguments(stage, out, "--workers=2")
        return Run(arguments, tmp_path / "log", forked=False)

    with Watch(out, stage) as watch:
        run = start()
        while not any(title(p).startswith(wanted) for p in below(run.pid)):
            assert run.code is None, run.said()
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        processes = of_cluster(ray_folder) | set(below(run.pid))
        workers = {p for p in processes if title(p).startswith(WORKER)}
        at_work = any(title(p).startswith(AT_WORK) for p in workers)
        assert run.kill()
        died = time.monotonic()
        again = start()  # whatever the last driver has left
        workers_gone_s = wait_until_gone(workers, died, WORKERS_GONE_LIMIT_S)
        again.succeed()
    assert watch.seen == finished(out, stage)
    world.check_same(stage, out)
    killed_clusters.append((processes, died))
    report(
        kills=1,
        at_work=at_work,
        processes=len(processes),
        workers_gone_s=round(workers_gone_s, 1),
        clips=CLIPS,
    )


def test_nothing_is_left_of_killed_drivers(
    killed_clusters: list[tuple[set[psutil.Process], float]], report: Callable[..., None]
) -> None:
    if not killed_clusters:
        pytest.skip("no driver was killed")
    gone_s = [wait_until_gone(*cluster, ALL_GONE_LIMIT_S) for cluster in killed_clusters]
    report(drivers=len(gone_s), last_gone_s=round(gone_s[-1], 1))
