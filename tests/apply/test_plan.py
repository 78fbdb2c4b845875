"""The plan: time by measured costs where there are some, and disk less what is there already."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sam2vss_lib.apply.job import Job
from sam2vss_lib.apply.plan import plan
from sam2vss_lib.apply.source import Source
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.study.stages.provenance import device_name
from tests.study.estimate.test_unit_costs import write_cost_result

CLIP = Source("data set", "one", {"a": 6}, (240, 320))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    settings = MaskletSettings(window=8, points_per_side=4)
    job = Job("one", tmp_path / "out", "demo", settings, RefineSettings(), model="segformer-micro")
    return replace(job, device="cpu")


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_time_is_told_where_this_model_was_measured_on_this_processor(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sam2vss_lib.apply.plan.PROJECT", tmp_path)
    assert last_line(plan(job, CLIP)).startswith("time: not measured here yet")
    results = write_cost_result(tmp_path / "results" / "demo")
    assert last_line(plan(job, CLIP)).startswith("time: not measured here yet")  # by "a CPU"
    here = {"device": device_name("cpu"), "stages": []}
    results.with_name("provenance.json").write_text(json.dumps(here))
    # decode, encode, propose, track frames and objects, store and refine
    assert 6 * 0.1 + 7 * 0.2 + 16 * 0.05 + 6 * 0.1 + 60 * 0.02 + 6 * 0.5 + 6 * 0.6 == 11.2
    said = f"time: about 11 s, by the costs measured in {tmp_path / 'results' / 'demo'}"
    assert last_line(plan(job, CLIP)) == said
    other = replace(job, checkpoint="sam2.1_hiera_large")
    assert last_line(plan(other, CLIP)).startswith("time: not measured here yet")


def test_disk_is_what_is_still_to_be_made(job: Job) -> None:
    long = replace(CLIP, clips={"a": 1000})
    (whole,) = [line for line in plan(job, long).splitlines() if line.startswith("disk")]
    assert "up to 139 MiB in " in whole
    job.out.mkdir()
    (job.out / "film.mp4").write_bytes(bytes(2**28))
    (rest,) = [line for line in plan(job, long).splitlines() if line.startswith("disk")]
    assert "up to 1 MiB" in rest
