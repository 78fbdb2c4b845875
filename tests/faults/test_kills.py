"""The driver is killed at random moments and run again until it ends by itself."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaign import (
    CLIPS,
    OUTPUTS,
    STAGES,
    Run,
    World,
    draws,
    finished,
    kill_at,
    temporary_files,
)

KILLS = 10  # per stage
PLAIN_KILLS = 2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("forked", "wanted"), [(True, KILLS), (False, PLAIN_KILLS)])
def test_driver_killed(
    world: World,
    tmp_path: Path,
    stage: str,
    forked: bool,
    wanted: int,
    report: Callable[..., None],
) -> None:
    rng = draws("driver", stage, forked)

    def start(out: Path) -> Run:
        return Run(world.arguments(stage, out), tmp_path / "log", forked=forked)

    duration_s = world.durations_s[stage]
    if forked:
        start(tmp_path / "warm").succeed()  # the server may have to start
        begun = time.monotonic()
        start(tmp_path / "timed").succeed()
        duration_s = time.monotonic() - begun
        world.check_same(stage, tmp_path / "timed")

    kills = rounds = in_a_write = kept = 0
    while kills < wanted:
        out = tmp_path / str(rounds)
        folder = out / OUTPUTS[stage]
        rounds += 1
        done = finished(out, stage)
        while True:
            run = start(out)
            before = temporary_files(folder)
            aimed = kills < wanted and rng.random() < 0.5
            moment_s = rng.uniform(0, duration_s) if kills < wanted else 2 * duration_s + 60
            if not kill_at(run, moment_s, writing=folder if aimed else None):
                break
            kills += 1
            in_a_write += not temporary_files(folder) <= before
            now = finished(out, stage)
            assert done.items() <= now.items()
            done = now
        said = run.succeed()
        if stage != "evaluate":
            assert said["reused"] == len(done)
            assert done.items() <= finished(out, stage).items()
            assert len(finished(out, stage)) == CLIPS
        kept += len(done)
        world.check_same(stage, out)
    report(kills=kills, in_a_write=in_a_write, rounds=rounds, clips=rounds * CLIPS, kept=kept)
