"""Every class through the commands, on two short clips of the demo."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import transformers
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.storage.files import sha256_file
from tests.masklets.hugging_face.conftest import KINDS

Saved = Callable[[str], Path]
#: nearly no thresholds: some masks on any frame, whatever the weights
LOOSE = ("--points-per-side", 3, "--pred-iou-thresh", 0, "--stability-score-thresh", 0)


def call(*arguments: str | Path | float) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments: str | Path | float) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 6 frames, and base predictions of them."""
    root = tmp_path_factory.mktemp("stages")
    write_demo(root / "data", {"val": DemoSplit(first_seed=5, clips=2, frames=6)})
    data = ("--dataset", root / "data", "--device", "cpu")
    done("segment", *data, "--model", "segformer-micro", "--out", root / "base")
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_masklets_refine_evaluate(kind: str, saved: Saved, demo: Path, tmp_path: Path) -> None:
    data = ("--dataset", demo / "data", "--device", "cpu")
    store, refined = tmp_path / "masklets", tmp_path / "refined"
    model = ("--engine", f"transformers:{kind}", "--checkpoint", saved(kind), "--window", 5)
    masklets = ("masklets", *data, *model, *LOOSE, "--max-objects-per-batch", 4, "--out", store)
    done(*masklets)
    assert "2 of them reused" in done(*masklets).stdout

    stored = MaskletStore(store).open(open_dataset(demo / "data", "val").clips[0])
    assert stored.metadata["checkpoint_sha256"] == sha256_file(saved(kind) / "model.safetensors")
    assert stored.metadata["model"] == {
        "class": kind,
        "weights": f"hf:{kind}",
        "transformers": transformers.__version__,
    }
    windows = [[part.frame for part in window] for window in stored.windows()]
    assert windows == [[0, 1, 2, 3, 4], [5]]
    assert stored.table["area"].to_numpy().any()
    scores = stored.table["object_score"].to_numpy()
    assert np.isfinite(scores).all()

    done("refine", *data, "--predictions", demo / "base", "--masklets", store, "--out", refined)
    out = tmp_path / "metrics.json"
    done("evaluate", *data, "--predictions", refined, "--out", out)
    assert 0 <= json.loads(out.read_text())["metrics"]["mIoU"] <= 100


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16(kind: str, saved: Saved, demo: Path, tmp_path: Path) -> None:
    data = ("--dataset", demo / "data", "--device", "cpu", "--max-clips", 1)
    model = ("--engine", f"transformers:{kind}", "--checkpoint", saved(kind), "--window", 3)
    done("masklets", *data, *model, *LOOSE, "--precision", "bfloat16", "--out", tmp_path)
    clip = open_dataset(demo / "data", "val").clips[0]
    assert MaskletStore(tmp_path).open(clip).table["area"].to_numpy().any()
