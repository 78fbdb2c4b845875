"""Two drivers on one store, one of which is killed and started again: each clip is done once."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaign import CLIPS, STAGES, Run, Watch, World, draws, finished, kill_at

KILLS = 3  # per stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("stage", STAGES)
def test_two_drivers_on_one_store(
    world: World, tmp_path: Path, stage: str, report: Callable[..., None]
) -> None:
    rng = draws("two drivers", stage)

    def start(out: Path, name: str) -> Run:
        return Run(world.arguments(stage, out), tmp_path / f"{out.name}_{name}")

    # nobody dies: what one has not computed, the other has
    together = tmp_path / "together"
    begun = time.monotonic()
    with Watch(together, stage):
        both = [start(together, "first"), start(together, "second")]
        said = [run.succeed() for run in both]
    duration_s = time.monotonic() - begun
    if stage != "evaluate":
        computed = [CLIPS - answer["reused"] for answer in said]
        assert sum(computed) == CLIPS
        assert min(computed) > 0
    world.check_same(stage, together)

    kills = rounds = 0
    while kills < KILLS:
        out = tmp_path / str(rounds)
        rounds += 1
        with Watch(out, stage) as watch:
            first, second = start(out, "first"), start(out, "second")
            kills += kill_at(first, rng.uniform(0, duration_s))
            again = start(out, "again")
            again.succeed()
            second.succeed()
        assert watch.seen == finished(out, stage)
        world.check_same(stage, out)
    report(kills=kills, rounds=rounds + 1, clips=(rounds + 1) * CLIPS)
