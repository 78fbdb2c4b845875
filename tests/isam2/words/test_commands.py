"""`sam2vss words` on two short clips of the demo: from masklets to metrics, and one more voter."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.storage.files import write_json
from tests.isam2.words.conftest import KINDS

Saved = Callable[[str], Path]


def call(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments: str | Path | int) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 3 frames, their masklets, and base predictions with probabilities."""
    root = tmp_path_factory.mktemp("stages")
    write_demo(root / "data", {"val": DemoSplit(first_seed=5, clips=2, frames=3)})
    data = ("--dataset", root / "data", "--device", "cpu")
    grid = ("--checkpoint", "demo", "--window", 3, "--points-per-side", 3)
    done("masklets", *data, *grid, "--out", root / "masklets")
    done("segment", *data, "--model", "segformer-micro", "--probabilities", "--out", root / "base")
    write_json(root / "phrases.json", {"car": ["car", "vehicle"], "Sky": "blue sky"})
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_masklets_words_evaluate_and_vote(
    kind: str, saved: Saved, demo: Path, tmp_path: Path
) -> None:
    data = ("--dataset", demo / "data", "--device", "cpu")
    stores = ("--masklets", demo / "masklets")
    words = ("--model", f"hf:{saved(kind)}", "--phrases", demo / "phrases.json")
    kept = ("--features", tmp_path / "features", "--look", "both", "--templates", "the {}")
    out, metrics = tmp_path / "words", tmp_path / "metrics.json"
    label = ("words", "segment", *data, *stores, *words, *kept, "--out", out)
    assert "2 clips" in done(*label).stdout
    assert json.loads(done(*label, "--json").stdout)["reused"] == 2
    done("evaluate", *data, "--predictions", out, "--out", metrics)
    assert 0 <= json.loads(metrics.read_text())["metrics"]["mIoU"] <= 100

    filled = tmp_path / "filled"
    fill = ("--fill", demo / "base", "--probabilities", "--out", filled)
    done("words", "segment", *data, *stores, *words, *kept, *fill)
    assert len([*filled.glob("*/*.npz")]) == 6
    voters = ("--predictions", demo / "base", "--predictions", filled, "--vote", "ensemble")
    done("refine", *data, *stores, *voters, "--out", tmp_path / "refined")

    labelled = ("--features", tmp_path / "labelled", "--max-clips", 1, "--json")
    found = json.loads(done("words", "calibrate", *data, *stores, *words, *labelled).stdout)
    assert found["clips"] == 1
    assert 0.1 <= found["temperature"] <= 10


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--model", "clip"), 2, "model clip: is no image-text model; give demo, or hf:NAME"),
        (("--phrases", "absent.json"), 3, "absent.json: not readable"),
        (("--templates", "a photo"), 2, "has not one {} in it"),
        (("--look", "eyes"), 2, "look"),
        (("--overlap", "none"), 2, "overlap"),
        (("--fill", "absent"), 3, "absent: no such folder (--fill)"),
    ],
)
def test_wrong_values_are_one_line(
    demo: Path, tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    given = ("--dataset", demo / "data", "--device", "cpu", "--masklets", demo / "masklets")
    places = ("--features", tmp_path / "features", "--out", tmp_path / "out")
    result = call("words", "segment", *given, *places, *options)
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()
