"""Every kind of model through the commands, on two short clips of the demo."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.datasets.demo.world import CLASS_NAMES
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.segmentors.hugging_face.loading import load_hugging_face
from sam2vss_lib.storage.files import read_json, write_json
from sam2vss_lib.study.settings import BaseSystem
from sam2vss_lib.study.settings.paths import missing_weights, model_from
from tests.segmentors.hugging_face.conftest import KINDS, LABELS

Saved = Callable[[str], Path]


def call(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments: str | Path | int) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 3 frames, their masklets, and a map of the models' labels."""
    root = tmp_path_factory.mktemp("stages")
    write_demo(root / "data", {"val": DemoSplit(first_seed=5, clips=2, frames=3)})
    settings = ("--checkpoint", "demo", "--window", 3, "--points-per-side", 3, "--device", "cpu")
    done("masklets", "--dataset", root / "data", *settings, "--out", root / "masklets")
    write_json(root / "map.json", {"sky": CLASS_NAMES[0], "ROAD": CLASS_NAMES[1], "car": None})
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_segment_refine_evaluate(kind: str, saved: Saved, demo: Path, tmp_path: Path) -> None:
    data = ("--dataset", demo / "data", "--device", "cpu")
    model = ("--model", f"hf:{saved(kind)}", "--classes", demo / "map.json")
    base, refined = tmp_path / "base", tmp_path / "refined"
    first = done("segment", *data, *model, "--probabilities", "--out", base)
    assert f"warning: hf:{kind}: void are its labels 'unicorn'" in first.stderr
    assert (
        "2 of them reused"
        in done("segment", *data, *model, "--probabilities", "--out", base).stdout
    )

    dataset = open_dataset(demo / "data", "val")
    clip, folder = dataset.clips[1], PredictionFolder(base, dataset.num_classes)
    frames = [clip.frame(i) for i in range(3)]
    own = [found.labels for found in load_hugging_face(str(saved(kind))).own_labels(frames)]
    for i, labels in enumerate(own):
        expected = np.array([0, 1, 255, 255], np.uint8)[labels.numpy()]
        np.testing.assert_array_equal(folder.read(clip, i), expected)
        probabilities = folder.read_probabilities(clip, i)
        assert probabilities is not None
        assert probabilities.shape[0] == len(CLASS_NAMES)
        assert not probabilities[2:].any()

    done("refine", *data, "--predictions", base, "--masklets", demo / "masklets", "--out", refined)
    out = tmp_path / "metrics.json"
    done("evaluate", *data, "--predictions", refined, "--out", out)
    assert 0 <= json.loads(out.read_text())["metrics"]["mIoU"] <= 100


def test_predictions_of_another_map_or_processor_are_refused(
    saved: Saved, demo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    write_json(other, {"sky": CLASS_NAMES[2]})
    data = ("--dataset", demo / "data", "--device", "cpu", "--model", f"hf:{saved('segformer')}")
    out = ("--out", tmp_path / "base")
    done("segment", *data, "--classes", demo / "map.json", *out)
    record = read_json(next((tmp_path / "base").glob("*/made_from.json")))
    assert record["model"] == "hf:segformer"
    assert {"checkpoint_sha256", "classes_sha256", "configs_sha256"} <= record.keys()
    stale = call("segment", *data, "--classes", other, *out)
    assert stale.exit_code == 3
    assert "made with other inputs: classes_sha256 is" in stale.stderr


def test_labels_are_listed_with_their_shares_and_a_map_is_begun(
    saved: Saved, demo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "begun.json"
    call_it = ("predictions", "classes", "--dataset", demo / "data", "--max-clips", 1)
    model = ("--model", f"hf:{saved('segformer')}", "--device", "cpu", "--out", out)
    found = json.loads(done(*call_it, *model, "--json").stdout)
    assert {*found} == {*LABELS}
    assert sum(one["share"] for one in found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), key=lambda one: -one["share"])
    begun = read_json(out)
    assert begun == {label: one["class"] for label, one in found.items()}
    again = call(*call_it, *model)
    assert again.exit_code == 2
    assert "is there already, perhaps filled in; use another name" in again.stderr
    embedded = call(*call_it, "--model", "segformer-micro")
    assert embedded.exit_code == 2
    assert "has the data set's own classes" in embedded.stderr


def test_no_label_that_is_a_class_is_one_line(saved: Saved, tiny_vspw: Path) -> None:
    write_json(tiny_vspw / "classes.json", {"1": "a", "2": "b", "3": "c"})
    data = ("--dataset", tiny_vspw, "--device", "cpu", "--out", tiny_vspw.parent / "out")
    result = call("segment", *data, "--model", f"hf:{saved('segformer')}")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "none of the model's 4 labels (Sky, ...) is a class of the data set (a, ...)" in line
    assert not (tiny_vspw.parent / "out").exists()


def test_a_study_knows_whether_a_model_is_here(saved: Saved, tmp_path: Path) -> None:
    folder = saved("segformer")
    assert missing_weights("hf:segformer", folder.parent) is None
    assert model_from("hf:segformer", folder.parent) == f"hf:{folder}"
    assert model_from("hf:owner/name", folder.parent) == "hf:owner/name"
    absent = BaseSystem(method="EoMT", backbone="", segmentor="hf:owner/name")
    assert absent.lacks(tmp_path) == "no weights at owner/name"
