"""`sam2vss plan`: tables and JSON of an estimate, and one line where it cannot be made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.settings import load_profile
from tests.study.estimate.plans import made_up_costs


def call(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, ["plan", *(str(a) for a in arguments)])


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    path = tmp_path / "costs.json"
    write_json(path, {"costs": made_up_costs().model_dump(mode="json")})
    return path


def test_a_plan_is_tables(costs: Path):
    done = call("--costs", costs, "--workers", "3", "--disk-mib-per-s", "0.01")
    assert done.exit_code == 0, done.output
    assert "track object" in done.stdout
    assert "demo train, as generated" in done.stdout
    assert "with 1,000,000 clips in every measured split" in done.stdout
    systems = load_profile("demo")["base_systems"]
    assert f"segment {systems[-1]['method']} {systems[-1]['backbone']}" in done.stdout
    assert "no run has measured it: segment" in done.stdout  # the costs are of another system
    assert done.stdout.splitlines()[-1].startswith("demo on 3 workers: ")
    assert "disk" in {line.split()[-1] for line in done.stdout.splitlines() if line.strip()}


def test_a_plan_as_json_is_the_costs_of_another(costs: Path, tmp_path: Path):
    options = ("--only", "01,04", "--clips", "50", "--frames-per-clip", "20", "--json")
    done = call("--costs", costs, *options)
    plan = json.loads(done.stdout)
    first, paper = plan["cases"].values()
    assert (first["tasks"], paper["tasks"]) == (50, 10**6)
    assert [scale["workers"] for scale in first["scales"]] == [1, 8, 64, 1000]
    assert plan["seconds"] == pytest.approx(first["one_worker_s"])
    frames = next(stage for stage in plan["stages"] if stage["stage"] == "decode")
    assert frames["shared"] == 50 * 20
    write_json(tmp_path / "again.json", plan)
    again = call("--costs", tmp_path / "again.json", *options)
    assert json.loads(again.stdout) == plan


def test_a_million_clips_are_one_case(costs: Path):
    done = call("--costs", costs, "--only", "01", "--clips", 10**6, "--json")
    plan = json.loads(done.stdout)
    assert [case["tasks"] for case in plan["cases"].values()] == [10**6]


def test_real_profiles_can_be_planned_without_their_data(costs: Path):
    vspw = json.loads(call("--profile", "vspw", "--costs", costs, "--json").stdout)
    (first, *_), notes = vspw["cases"].values(), "\n".join(vspw["notes"])
    assert first["tasks"] >= 343 + 2806
    assert "published: 343 clips, 24,502 frames" in notes or "counted on disk" in notes
    assert "sam2.1_hiera_large, bfloat16" in notes
    encode = next(stage for stage in vspw["stages"] if stage["stage"] == "encode")
    assert encode["alone"] > 5 * encode["shared"]


def test_what_cannot_be_planned_is_one_line(costs: Path, tmp_path: Path):
    for arguments, code, message in (
        (("--out", tmp_path), 2, "measure them with `sam2vss study --profile demo --only 08"),
        (("--profile", "nosuch"), 2, "unknown profile 'nosuch'"),
        (("--costs", tmp_path / "none.json"), 3, "none.json: no such file"),
        (("--costs", costs, "--only", "10"), 2, "none of these notebooks has work"),
        (("--costs", costs, "--set", "split=test"), 2, "split 'test'"),
        (("--costs", costs, "--workers", "0"), 2, "--workers"),
    ):
        result = call(*arguments)
        assert result.exit_code == code, result.output
        assert message in result.stderr
        if message != "--workers":
            assert len(result.stderr.strip().splitlines()) == 1
