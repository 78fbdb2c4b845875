"""The example is run as its reader would run it, and gives what the commands give."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "refine_my_clip.py"


def call(command: str, *arguments: str | Path) -> None:
    result = CliRunner().invoke(app, [command, *map(str, arguments)])
    assert result.exit_code == 0, result.output


def test_labels_are_those_of_the_commands(tiny_vspw: Path, tmp_path: Path):
    dataset = open_dataset(tiny_vspw, "val").take(1)
    (clip,) = dataset
    base = PredictionFolder(tmp_path / "base", dataset.num_classes)
    for i in range(clip.num_frames):
        truth = clip.ground_truth(i)
        base.write(clip, i, np.roll(np.where(truth == 255, 0, truth), 2, axis=1))
    frames = shutil.copytree(clip.frame_path(0).parent, tmp_path / clip.name)

    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, EXAMPLE, frames, base.root, "--out", out, "--window", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")  # no warning of another library either

    data = ("--dataset", tiny_vspw, "--max-clips", "1", "--device", "cpu")
    store, labels = tmp_path / "store", tmp_path / "labels"
    call("masklets", *data, "--checkpoint", "demo", "--window", "3", "--out", store)
    call("refine", *data, "--predictions", base.root, "--masklets", store, "--out", labels)
    by_example = PredictionFolder(out / "refined", dataset.num_classes)
    by_command = PredictionFolder(labels, dataset.num_classes)
    changed = 0
    for i in range(clip.num_frames):
        assert np.array_equal(by_example.read(clip, i), by_command.read(clip, i))
        changed += int((by_command.read(clip, i) != base.read(clip, i)).sum())
    said = re.match(r"(\d+) of (\d+) pixels changed", done.stdout)
    assert said is not None, done.stdout
    assert (int(said[1]), int(said[2])) == (changed, 5 * 24 * 32)
    assert changed > 0


def test_example_is_short():
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
