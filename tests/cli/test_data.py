"""`sam2vss data` as commands."""

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(result: Result, code: int, *words: str) -> None:
    """One line on stderr that says `words`, and the documented exit code."""
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert all(word in line for word in words), line


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
    refused(call("data", "verify", tiny_vspw, "--expect", "nope"), 2, "nope", "vspw, vipseg")


def test_an_archive_is_converted_and_removed(tiny_vspw: Path, tmp_path: Path):
    archive = shutil.make_archive(str(tmp_path / "VSPW"), "gztar", tmp_path, "tiny")
    target = tmp_path / "new"
    done = call("data", "convert", "vspw-480p", archive, target, "--workers", "1", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "out": str(target), "converted": 2, "reused": 0, "without_masks": 0
    }  # fmt: skip
    assert call("data", "verify", target, "--workers", "1").exit_code == 0
    assert list((target / ".sam2vss" / "unpacked").iterdir()) == []


def test_a_folder_of_images_is_converted(tiny_vspw: Path, tmp_path: Path):
    source, target = tiny_vspw / "data/first/origin", tmp_path / "new"
    arguments = ("data", "convert", "video", source, target, "--clip", "mine", "--height", "12")
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "out": str(target), "clip": "mine", "frames": 5, "reused": False, "notes": []
    }  # fmt: skip
    assert "there already" in call(*arguments).stdout
    refused(call(*arguments[:-1], "13"), 3, "mine/origin", "height_px is 12, not 13")


def test_conversions_that_cannot_be(tiny_vspw: Path, tmp_path: Path):
    new = tmp_path / "new"
    refused(call("data", "convert", "vspw", tiny_vspw, new), 2, "'vspw'", "vspw-480p")
    refused(call("data", "convert", "vspw-480p", tiny_vspw, new, "--fps", "5"), 2, "--fps")
    refused(call("data", "convert", "video", tiny_vspw, new, "--semantic"), 2, "--semantic")
    refused(call("data", "convert", "vspw-480p", tmp_path / "a.zip", new), 3, "a.zip: no such file")
    assert not (new / "data").exists()


def test_licensed_data_is_not_fetched_but_explained(tiny_vspw: Path, tmp_path: Path):
    for name, site in (("vspw", "VSPW-dataset-download"), ("vipseg", "VIPSeg-Dataset")):
        result = call("data", "fetch", name, "--out", tmp_path / "data_set")
        assert result.exit_code == 3
        assert "is not here yet" in result.stdout
        assert "Accept: No licence is stated" in result.stdout
        assert site in result.stdout
        assert (
            f"sam2vss data verify {tmp_path}/data_set --split val --expect {name}" in result.stdout
        )
        assert not (tmp_path / "data_set").exists()
    here = call("data", "fetch", "vspw", "--out", tiny_vspw, "--json")
    assert here.exit_code == 0
    assert json.loads(here.stdout)["present"] is True
    refused(call("data", "fetch", "demo", "--out", tmp_path), 2, "'demo'", "vspw", "--dataset demo")
