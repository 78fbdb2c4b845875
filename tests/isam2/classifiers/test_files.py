"""A classifier on disk: the same answers after loading, and one clear line for what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sam2vss_lib.errors import DataError
from sam2vss_lib.isam2.classifiers.files import load_classifier, save_classifier
from sam2vss_lib.isam2.classifiers.mlp import Classifier
from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.classifiers.training import fit
from sam2vss_lib.isam2.encoders import Encoder, encoder_identity
from sam2vss_lib.storage.files import sha256_file
from tests.isam2.classifiers.common import DIM, ENCODER, NAMES, planted, training_set
from tests.isam2.features.common import colour_encoder

SETTINGS = ClassifierSettings(hidden=8, epochs=2)
RIGHT = colour_encoder(name="planted", dim=DIM, sha256="a" * 64)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return fit(training_set(), NAMES, SETTINGS)


@pytest.fixture
def folder(classifier: Classifier, tmp_path: Path) -> Path:
    save_classifier(classifier, tmp_path / "kept")
    return tmp_path / "kept"


def test_round_trip(classifier: Classifier, folder: Path) -> None:
    loaded = load_classifier(folder)
    features, _ = planted(3, 50)
    assert torch.equal(loaded.logits(features), classifier.logits(features))
    assert loaded.sha256() == classifier.sha256()
    assert loaded.encoder == ENCODER
    for name in ("settings", "class_names", "history", "best_epoch", "dim"):
        assert getattr(loaded, name) == getattr(classifier, name)
    assert sorted(path.name for path in folder.iterdir()) == [
        "classifier.json",
        "classifier.safetensors",
    ]


@pytest.mark.parametrize("failing", ["save_file", "write_json"])
def test_a_failed_write_leaves_the_old_pair(
    classifier: Classifier, folder: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"sam2vss_lib.isam2.classifiers.files.{failing}", fail)
    with pytest.raises(KeyboardInterrupt):
        save_classifier(replace(classifier, best_epoch=0), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_every_masklet_gets_a_class(classifier: Classifier) -> None:
    assert classifier.classify(np.zeros((0, DIM), np.float16)).shape == (0,)
    found = classifier.classify(np.random.default_rng(0).normal(size=(40, DIM)))
    assert found.dtype == np.uint8
    assert found.max() < len(NAMES)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (colour_encoder(dim=3), "3 features a masklet, but the classifier takes 6"),
        (
            colour_encoder(dim=DIM),
            r"features of colour \(eeeeeeeeeeee\.\.\.\), but the classifier was trained on planted",
        ),
    ],
)
def test_wrong_encoders_are_refused(folder: Path, encoder: Encoder, message: str) -> None:
    loaded = load_classifier(folder)
    loaded.check_encoder(encoder_identity(RIGHT), folder)
    with pytest.raises(DataError, match=message):
        loaded.check_encoder(encoder_identity(encoder), folder)


def test_features_of_another_width_are_refused(classifier: Classifier) -> None:
    with pytest.raises(DataError, match=r"features are \(2, 5\), the classifier takes \(n, 6\)"):
        classifier.classify(np.zeros((2, 5)))


def change_json(folder: Path, **changes: object) -> None:
    path = folder / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def drop_from_json(folder: Path) -> None:
    path = folder / "classifier.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({key: said[key] for key in said if key != "encoder"}))


def other_weights(folder: Path) -> None:
    """A tensor less, with the JSON's hash made to fit."""
    path = folder / "classifier.safetensors"
    state = load_file(path)
    save_file({key: state[key] for key in state if key != "mean"}, path)
    change_json(folder, weights_sha256=sha256_file(path))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "classifier.json").unlink(), "no such classifier; train it first"),
        (lambda f: (f / "classifier.json").write_text("{"), "not readable as JSON"),
        (lambda f: (f / "classifier.json").write_text("[]"), "not a classifier"),
        (lambda f: (f / "classifier.safetensors").unlink(), "no such file"),
        (lambda f: (f / "classifier.safetensors").write_bytes(b"?"), "not the weights that"),
        (lambda f: change_json(f, format_version=9), "format version 9"),
        (lambda f: change_json(f, settings={"hidden": 0}), "not a classifier"),
        (lambda f: change_json(f, dim=5), "do not fit classifier.json: 3 tensors"),
        (drop_from_json, "no 'encoder' in it"),
        (other_weights, "1 tensors are missing, unexpected or of another shape, such as mean"),
    ],
)
def test_damaged_files_give_one_line(folder: Path, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message) as caught:
        load_classifier(folder)
    assert "\n" not in str(caught.value)


def test_saving_again_replaces(folder: Path, classifier: Classifier) -> None:
    other = fit(training_set(), NAMES, SETTINGS.model_copy(update={"seed": 1}))
    save_classifier(other, folder)
    assert load_classifier(folder).sha256() == other.sha256() != classifier.sha256()
