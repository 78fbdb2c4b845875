"""A disk that is too small: one line, nothing half written, and the same command goes on."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import OUTPUTS, STAGES, Run, World, contents, finished

PAGE_BYTES = 4096
SHARES = (0.1, 0.5, 0.8)  # of the room that a stage's files take

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk that is not mounted yet."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", "--lazy", folder], capture_output=True)


def mount(disk: Path, size_bytes: int, *more: str) -> None:
    """Mount a disk or, with remount, give it another size."""
    options = ",".join([f"size={size_bytes}", *more])
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.strip()}")


def pages(files: dict[str, bytes | None]) -> int:
    """What files take on a tmpfs."""
    return sum(-(-len(data) // PAGE_BYTES) for data in files.values() if data is not None)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("share", SHARES)
def test_disk_full(
    world: World,
    disk: Path,
    tmp_path: Path,
    stage: str,
    share: float,
    report: Callable[..., None],
) -> None:
    expected = contents(world.undisturbed, stage)
    mount(disk, max(1, int(share * pages(expected))) * PAGE_BYTES)
    folder, log = disk / OUTPUTS[stage], tmp_path / "log"

    run = Run(world.arguments(stage, disk), log)
    assert run.wait() == 4, run.said()
    out, err = run.said()
    (line,) = err.splitlines()
    assert line.startswith(f"error: {folder}/")
    assert "the disk is full" in line
    assert "same command again" in line
    assert out == ""

    kept = finished(disk, stage)
    left = contents(disk, stage)
    begun = {str(r.parent / "made_from.json") for r in map(Path, left)} - {
        str(Path(clip) / "made_from.json") for clip in kept
    }
    assert {n: d for n, d in left.items() if n not in begun}.items() <= expected.items()

    mount(disk, 2 * pages(expected) * PAGE_BYTES, "remount")
    said = Run(world.arguments(stage, disk), log).succeed()
    if stage != "evaluate":
        assert said["reused"] == len(kept)
    assert kept.items() <= finished(disk, stage).items()
    world.check_same(stage, disk)
    report(clips=len(finished(disk, stage)), kept=len(kept))
