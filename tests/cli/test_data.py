"""`sam2vss data list` and `verify` as commands."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_verify_writes_its_report_and_checksums(tiny_vspw: Path, tmp_path: Path):
    out = tmp_path / "report.json"
    good = call("data", "verify", tiny_vspw, "--write-manifest", "--report", out, "--json")
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout) == json.loads(out.read_text())
    assert json.loads(out.read_text())["checksums"] == "written"
    (tiny_vspw / "data/second/mask/00000009.png").write_bytes(b"")
    bad = call("data", "verify", tiny_vspw, "--report", out, "--workers", "1")
    assert bad.exit_code == 3
    counts, fault = bad.stdout.splitlines()
    assert counts.endswith("2 clips, 10 frames, 10 masks, checksums compared, 1 faults")
    assert "00000009.png: empty file (0 bytes); likely an interrupted download" in fault
    assert json.loads(out.read_text())["faults"][0]["hint"].startswith("likely an interrupted")


def test_verify_compares_with_what_was_published(tiny_vspw: Path):
    result = call("data", "verify", tiny_vspw, "--expect", "vspw", "--workers", "1")
    assert result.exit_code == 3
    assert "lacks 343 clips of the official list" in result.stdout
    wrong = call("data", "verify", tiny_vspw, "--expect", "nope")
    assert wrong.exit_code == 2
    assert "nope" in wrong.stderr
