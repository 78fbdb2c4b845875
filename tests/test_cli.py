"""The command line end to end on small data, and one clear line for everything that is wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.predictions.folder import PredictionFolder

MASKLETS = ("--checkpoint", "demo", "--window", "3", "--points-per-side", "4", "--device", "cpu")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(result: Result, code: int, *words: str) -> None:
    """One line on stderr that says `words`, the documented exit code, and no traceback."""
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


@pytest.fixture
def predictions(moved_predictions: PredictionFolder) -> Path:
    """Folder of the tiny data set's moved ground truth."""
    return moved_predictions.root


def test_masklets_refine_evaluate(tiny_vspw: Path, predictions: Path, tmp_path: Path):
    data = ("--dataset", tiny_vspw, "--split", "val")
    store, refined, out = tmp_path / "masklets", tmp_path / "refined", tmp_path / "metrics.json"
    first = call("masklets", *data, *MASKLETS, "--out", store, "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["frames"] == 10
    again = call("masklets", *data, *MASKLETS, "--out", store, "--json")
    assert json.loads(again.stdout)["reused"] == 2
    arguments = ("--predictions", predictions, "--masklets", store, "--out", refined)
    second = call("refine", *data, *arguments, "--device", "cpu")
    assert second.exit_code == 0, second.output
    done = call("evaluate", *data, "--predictions", refined, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert json.loads(done.stdout) == written
    assert written["format_version"] == 1
    assert written["frames"] == 10
    assert set(written["metrics"]) == {"mIoU", "FWIoU", "mBIoU", "mVC8", "mVC16"}
    assert written["metrics"]["mVC8"] is None
    assert "mVC8" in written["notes"]
    assert written["provenance"]["protocol"] == written["protocol"]["id"]


def test_segment_writes_labels_and_probabilities_once(tmp_path: Path):
    root, out = tmp_path / "data", tmp_path / "base"
    root.mkdir()
    write_demo(root, {"val": DemoSplit(first_seed=5, clips=1, frames=2)})
    arguments = ("segment", "--dataset", root, "--model", "segformer-micro", "--out", out)
    first = call(*arguments, "--probabilities", "--device", "cpu", "--json")
    assert first.exit_code == 0, first.output
    clip = open_dataset(root, "val").clips[0]
    folder = PredictionFolder(out, 12)
    assert folder.read(clip, 1).shape == clip.size
    probabilities = folder.read_probabilities(clip, 1)
    assert probabilities is not None
    assert np.allclose(probabilities.astype(float).sum(0), 1, atol=0.01)
    again = call(*arguments, "--probabilities", "--device", "cpu", "--json")
    assert json.loads(again.stdout)["reused"] == 1
    refused(call(*arguments, "--device", "cpu"), 3, "1_demo5")  # now without probabilities


def test_verify_and_list(tiny_vspw: Path):
    good = call("data", "verify", tiny_vspw, "--split", "val")
    assert good.exit_code == 0, good.output
    (tiny_vspw / "data" / "first" / "mask" / "00000009.png").write_bytes(b"")
    bad = call("data", "verify", tiny_vspw, "--split", "val")
    assert bad.exit_code == 3
    assert "00000009" in bad.output
    assert "vspw" in call("data", "list").output.lower()


def test_doctor_reports_versions_and_devices():
    facts = json.loads(call("doctor", "--json").stdout)
    assert facts["versions"]["sam2"] == "1.1.0"
    assert facts["devices"]
    assert facts["checkpoints"]["demo"] is True


def broken(root: Path, kind: str) -> None:
    """Damage the tiny data set in one way."""
    frame = root / "data" / "first" / "origin" / "00000010.jpg"
    mask = root / "data" / "first" / "mask" / "00000010.png"
    match kind:
        case "zero":
            frame.write_bytes(b"")
        case "truncated":
            frame.write_bytes(frame.read_bytes()[:200])
        case "size":
            Image.fromarray(np.zeros((10, 10), np.uint8)).save(mask)
        case "label":
            Image.fromarray(np.full((24, 32), 9, np.uint8)).save(mask)
        case "masks":
            shutil.rmtree(root / "data" / "first" / "mask")
            shutil.rmtree(root / "data" / "second" / "mask")
        case _:
            raise ValueError(kind)


@pytest.mark.parametrize("kind", ["zero", "truncated"])
def test_masklets_of_unreadable_frames(tiny_vspw: Path, tmp_path: Path, kind: str):
    broken(tiny_vspw, kind)
    out = tmp_path / "store"
    result = call("masklets", "--dataset", tiny_vspw, *MASKLETS, "--out", out)
    refused(result, 3, "00000010.jpg")
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("size", ("00000010.png", "10")),
        ("label", ("00000010.png", "9")),
        ("masks", ("mask", "test split")),
    ],
)
def test_evaluate_on_bad_ground_truth(
    tiny_vspw: Path, predictions: Path, tmp_path: Path, kind: str, words: Sequence[str]
):
    broken(tiny_vspw, kind)
    out = tmp_path / "metrics.json"
    arguments = ("--dataset", tiny_vspw, "--predictions", predictions, "--out", out)
    refused(call("evaluate", *arguments), 3, *words)
    assert not out.exists()


def test_missing_things(tiny_vspw: Path, predictions: Path, tmp_path: Path):
    data, gone = ("--dataset", tiny_vspw), tmp_path / "gone"
    out = tmp_path / "out"
    tail = ("--out", out)
    refused(call("masklets", "--dataset", gone, *MASKLETS, *tail), 3, "gone")
    refused(call("masklets", *data, "--split", "nope", *MASKLETS, *tail), 3, "nope.txt")
    refused(call("masklets", *data, "--checkpoint", "sam3", *tail), 2, "sam3", "sam2.1_hiera_large")
    refused(call("masklets", *data, "--checkpoint", gone / "x.pt", *tail), 3, "x.pt")
    refused(call("evaluate", *data, "--predictions", gone, *tail), 3, "gone", "--predictions")
    refused(
        call("refine", *data, "--predictions", predictions, "--masklets", gone, *tail),
        3, "gone", "--masklets",
    )  # fmt: skip
    refused(call("segment", *data, "--model", "nonet", *tail), 2, "nonet", "segformer-micro")
    assert not out.exists()


def test_wrong_values(tiny_vspw: Path, predictions: Path, tmp_path: Path):
    data, tail = ("--dataset", tiny_vspw), ("--out", tmp_path / "out")
    refused(call("masklets", *data, *MASKLETS, "--window", "0", *tail), 2, "window")
    refused(call("masklets", *data, *MASKLETS, "--precision", "half", *tail), 2, "precision")
    arguments = ("--predictions", predictions, "--masklets", tmp_path)
    refused(call("refine", *data, *arguments, "--vote", "pixel", *tail), 2, "vote", "pixel")
    refused(
        call("refine", *data, "--predictions", predictions, "--masklets", tmp_path,
             "--out", predictions),
        2, "choose another",
    )  # fmt: skip
    refused(
        call("evaluate", *data, "--predictions", predictions, "--device", "abacus", *tail),
        2, "abacus",
    )  # fmt: skip


def test_prediction_faults(tiny_vspw: Path, predictions: Path, tmp_path: Path):
    out = tmp_path / "metrics.json"
    arguments = ("--dataset", tiny_vspw, "--predictions", predictions, "--out", out)
    path = predictions / "second" / "00000009.png"
    Image.fromarray(np.full((24, 32), 77, np.uint8)).save(path)
    refused(call("evaluate", *arguments), 3, "00000009.png", "77")
    path.unlink()
    refused(call("evaluate", *arguments), 3, "00000009.png")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "99"), ("99", "01")),
        (("--profile", "nope"), ("nope", "demo")),
        (("--set", "windwo=8"), ("windwo", "window")),
        (("--set", "window=eight"), ("window", "integer")),
        (("--set", "window"), ("NAME=VALUE",)),
        (("--set", "out_dir=x"), ("out_dir", "--out")),
        (("--only", ","), ("names no notebook", "01")),
    ],
)
def test_study_refuses_before_it_starts(
    tmp_path: Path, arguments: Sequence[str], words: Sequence[str]
):
    refused(call("study", "--out", tmp_path / "results", *arguments), 2, *words)
    assert not (tmp_path / "results").exists()


def test_study_says_which_data_is_missing(tmp_path: Path):
    place = ("--set", f"dataset={tmp_path / 'VSPW_480p'}")
    result = call("study", "--profile", "vspw", *place, "--only", "01", "--out", tmp_path / "r")
    assert result.exit_code == 3, result.output
    assert "VSPW_480p" in result.stderr
    assert "Traceback" not in result.output


def test_store_of_other_settings_is_refused(tiny_vspw: Path, tmp_path: Path):
    arguments = ("--dataset", tiny_vspw, *MASKLETS, "--out", tmp_path / "store")
    assert call("masklets", *arguments, "--max-clips", "1").exit_code == 0
    result = call("masklets", *arguments, "--pred-iou-thresh", "0.5")
    refused(result, 3, "first.parquet", "pred_iou_thresh", "0.6", "0.5")


def test_out_with_files_of_unknown_origin_is_refused(
    tiny_vspw: Path, predictions: Path, tmp_path: Path
):
    store, out = tmp_path / "store", tmp_path / "out"
    assert call("masklets", "--dataset", tiny_vspw, *MASKLETS, "--out", store).exit_code == 0
    shutil.copytree(predictions, out)
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    arguments = ("--predictions", predictions, "--masklets", store, "--out", out)
    refused(call("refine", "--dataset", tiny_vspw, *arguments), 3, str(out / "first"), "origin")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_unexpected_failure_is_one_line_and_exit_code_4(
    tiny_vspw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("sam2vss_lib.datasets.verify_dataset", fail)
    refused(call("data", "verify", tiny_vspw), 4, "RuntimeError: first line", "SAM2VSS_DEBUG")


def test_a_tilde_that_the_shell_has_left_is_the_home_folder(
    tiny_vspw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tiny_vspw.parent))
    data = f"--dataset=~/{tiny_vspw.name}"
    done = call("masklets", data, *MASKLETS, "--max-clips", "1", "--out=~/tracked")
    assert done.exit_code == 0, done.output
    assert [*(tiny_vspw.parent / "tracked").glob("*.parquet")]
    missing = call("segment", data, "--model", "segformer-mit_b0:~/a.pth", "--out", tmp_path)
    refused(missing, 3, f"{tiny_vspw.parent}/a.pth")


def test_help_waits_for_nothing_heavy():
    code = (
        "import sys; from sam2vss_lib.cli import app; app(['--help'], standalone_mode=False); "
        "sys.exit(str({'torch', 'sam2', 'pandas', 'papermill'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
    for command in ("doctor", "data", "segment", "masklets", "refine", "evaluate", "study"):
        assert f"  {command}  " in done.stdout
