"""`sam2vss predictions`: other systems' files become label PNGs, which `evaluate` reads."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from tests.formats import degraded, fake_clips, write_dvis, write_mmseg, write_vipseg

CLIPS = fake_clips(2, num_frames=9)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_vipseg(tmp_path / "VIPSeg", CLIPS)


def test_converted_predictions_can_be_evaluated(root: Path, tmp_path: Path):
    theirs, out = write_dvis(tmp_path / "dvis", degraded(CLIPS)), tmp_path / "out"
    arguments = ("--dataset", root, "--format", "panoptic-json", "--predictions", theirs)
    first = call("predictions", "convert", *arguments, "--out", out, "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout) == {"out": str(out), "clips": 2, "reused": 0}
    again = call("predictions", "convert", *arguments, "--out", out)
    assert "2 of them reused" in again.stdout
    done = call(
        "evaluate", "--dataset", root, "--predictions", out, "--out", tmp_path / "m.json", "--json"
    )
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout)
    assert metrics["frames"] == 18
    assert 20 < metrics["metrics"]["mIoU"] < 100


def test_what_cannot_be_converted_is_one_line(root: Path, tmp_path: Path):
    results = write_mmseg(tmp_path / "r.pkl", degraded(CLIPS[:1], void=False))
    for arguments, code, message in (
        (("mmseg-pkl", results, tmp_path / "out"), 3, "holds 9 results, but the split has 18"),
        (("coco", results, tmp_path / "out"), 2, "format 'coco': known are index, panoptic-json"),
        (("index", tmp_path, tmp_path), 2, "is the folder of --predictions; name another"),
    ):
        format_name, theirs, out = arguments
        options = ("--format", format_name, "--predictions", theirs, "--out", out)
        result = call("predictions", "convert", "--dataset", root, *options)
        assert result.exit_code == code, result.output
        assert len(result.stderr.strip().splitlines()) == 1
        assert message in result.stderr


def test_formats_are_listed():
    listed = call("predictions", "formats", "--json")
    assert list(json.loads(listed.stdout)) == ["index", "panoptic-json", "vipseg", "mmseg-pkl"]
