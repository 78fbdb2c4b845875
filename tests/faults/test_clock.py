"""Clocks that jump by days, and files from far times: nothing depends on them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaign import CLIPS, OUTPUTS, STAGES, Run, World, draws, finished, kill_at

# read by every interpreter that has its folder on PYTHONPATH
SITECUSTOMIZE = """
import os, random, time
_rng, _time, _file = random.Random(os.environ["SKEW_SEED"]), time.time, os.environ["SKEW_FILE"]
def _skewed():
    return _time() + _rng.uniform(-40, 40) * 86400
time.time, time.time_ns = _skewed, lambda: int(_skewed() * 1e9)
open(_file, "a").write(f"{time.time() - _time()}\\n")
"""
FAR_TIMES_S = (0, 86_400 * 365 * 5, 86_400 * 365 * 130)  # 1970, 1975, 2100

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def to_far_times(folder: Path, turn: int) -> None:
    """Give everything in a folder a time of long ago or of the far future, another every turn."""
    for n, path in enumerate(sorted(folder.rglob("*")), start=turn):
        os.utime(path, (FAR_TIMES_S[n % 3], FAR_TIMES_S[(n + 1) % 3]))


@pytest.mark.parametrize("stage", STAGES)
def test_clocks_jump(world: World, tmp_path: Path, stage: str, report: Callable[..., None]) -> None:
    rng = draws("clock", stage)
    out, skews = tmp_path / "out", tmp_path / "skews"
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)

    def start(number: int) -> Run:
        seed = f"{rng.random()}"
        skew = {"PYTHONPATH": str(tmp_path), "SKEW_SEED": seed, "SKEW_FILE": str(skews)}
        arguments = world.arguments(stage, out)
        return Run(arguments, tmp_path / str(number), forked=False, environment=skew)

    first = start(1)
    if stage != "evaluate":
        while not finished(out, stage):
            assert first.code is None, first.said()
            time.sleep(0.001)
    killed = kill_at(first, 0, writing=out / OUTPUTS[stage])
    to_far_times(out, 0)
    kept = finished(out, stage)
    said = start(2).succeed()
    done = finished(out, stage)
    assert kept.items() <= done.items()
    world.check_same(stage, out)
    to_far_times(out, 1)
    left = finished(out, stage)
    assert left != done or stage == "evaluate"
    answer = start(3).succeed()
    if stage != "evaluate":
        assert said["reused"] == len(kept) > 0
        assert answer["reused"] == len(left) == CLIPS
    assert finished(out, stage) == left
    world.check_same(stage, out)
    # some of them are git, or helpers of Python's own
    assert max(abs(float(skew)) for skew in skews.read_text().split()) > 86_400
    assert list((out / OUTPUTS[stage]).iterdir())
    report(kills=int(killed), runs=3, clips=CLIPS, kept=len(kept))
