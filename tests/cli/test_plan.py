"""`sam2vss plan`: tables and JSON of an estimate, and one line where it cannot be made."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.settings import load_profile
from sam2vss_lib.study.stages.provenance import device_name
from tests.study.estimate.plans import made_up_costs


def call(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, ["plan", *(str(a) for a in arguments)])


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    path = tmp_path / "costs.json"
    write_json(path, {"costs": made_up_costs().model_dump(mode="json")})
    return path


def test_a_plan_is_tables(costs: Path):
    options = ("--workers", "3", "--disk-mib-per-s", "0.01", "--driver-tasks-per-s", "1000")
    done = call("--costs", costs, *options)
    assert done.exit_code == 0, done.output
    assert "track object" in done.stdout
    assert "clips: demo train, counted on disk" in done.stdout
    systems = load_profile("demo")["base_systems"]
    assert f"segment: {systems[-1]['method']} {systems[-1]['backbone']}" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    scales = [line for line in lines if line[0] in ("1", "3", "8", "64", "1000")]
    assert [line[-1] for line in scales] == ["disk"] * 5
    # no device is called "a CPU"
    assert "measured: demo; float32; a CPU; NOT what this study would use (demo; " in done.stdout


def test_costs_of_the_same_model_and_device_are_not_labelled(tmp_path: Path):
    same = made_up_costs().model_copy(update={"measured": ("demo", "float32", device_name("cpu"))})
    write_json(tmp_path / "costs.json", {"costs": same.model_dump(mode="json")})
    done = call("--costs", tmp_path / "costs.json", "--only", "01", "--set", "device=cpu")
    assert f"measured: demo; float32; {device_name('cpu')}\n" in done.stdout


def test_a_plan_as_json_is_the_costs_of_another(costs: Path, tmp_path: Path):
    options = ("--only", "01,04", "--clips", "50", "--frames-per-clip", "20", "--json")
    done = call("--costs", costs, *options)
    plan = json.loads(done.stdout)
    assert plan["tasks"] == 50
    assert [scale["workers"] for scale in plan["scales"]] == [1, 8, 64, 1000]
    hours = [stage["hours"] for stage in plan["stages"].values()]
    assert None in hours  # the costs are of another base system
    assert plan["scales"][0]["hours"] == pytest.approx(sum(filter(None, hours)))
    assert plan["stages"]["decode"]["shared"] == 50 * 20
    write_json(tmp_path / "again.json", plan)
    again = call("--costs", tmp_path / "again.json", *options)
    assert json.loads(again.stdout) == plan


def test_a_million_clips_are_planned_on_paper(costs: Path):
    done = call("--costs", costs, "--only", "01", "--clips", 10**6, "--json")
    plan = json.loads(done.stdout)
    assert plan["tasks"] == 10**6
    assert plan["stages"]["decode"]["shared"] == 40 * 10**6  # of the demo's 40 frames
    assert "clips: 1,000,000 clips of 40 frames, on paper" in plan["notes"]


def test_real_profiles_can_be_planned_without_their_data(costs: Path):
    vspw = json.loads(call("--profile", "vspw", "--costs", costs, "--json").stdout)
    notes = "\n".join(vspw["notes"])
    assert vspw["tasks"] == 343 + 2806
    assert "published: 343 clips, 24,502 frames" in notes or "counted on disk" in notes
    assert "sam2.1_hiera_large; bfloat16" in notes
    encode = vspw["stages"]["encode"]
    assert encode["alone"] > 5 * encode["shared"]


def test_what_cannot_be_planned_is_one_line(costs: Path, tmp_path: Path):
    for arguments, code, message in (
        (("--out", tmp_path), 2, "measure them with `sam2vss study --profile demo --only 08"),
        (("--profile", "nosuch"), 2, "unknown profile 'nosuch'"),
        (("--costs", tmp_path / "none.json"), 3, "none.json: no such file"),
        (("--costs", costs, "--only", "10"), 2, "none of these notebooks has work"),
        (("--costs", costs, "--set", "split=test"), 3, "no such split list (test)"),
        (("--costs", costs, "--workers", "0"), 2, "--workers"),
    ):
        result = call(*arguments)
        assert result.exit_code == code, result.output
        assert message in result.stderr
        if message != "--workers":
            assert len(result.stderr.strip().splitlines()) == 1
