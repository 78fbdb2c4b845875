"""Training: what is learnt, what decides, what is left out, and that a seed settles everything."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sam2vss_lib.datasets import VOID
from sam2vss_lib.errors import DataError, RunError, SettingsError
from sam2vss_lib.isam2.classifiers import training as training_module
from sam2vss_lib.isam2.classifiers.files import save_classifier
from sam2vss_lib.isam2.classifiers.mlp import Classifier
from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.classifiers.training import fit, train_classifier
from sam2vss_lib.isam2.classifiers.training_set import read_training_set, validation_clips
from sam2vss_lib.isam2.features.store import FeatureRows, FeatureStore
from sam2vss_lib.storage.records import RECORD_NAME
from tests.isam2.classifiers.common import DIM, ENCODER, NAMES, planted, training_set, write_planted

QUICK = ClassifierSettings(hidden=16, batch_size=32, epochs=12)


@pytest.mark.parametrize(
    "changes",
    [{}, {"layers": 0}, {"layers": 2}, {"class_weighting": "inverse_sqrt"}, {"monitor": "loss"}],
)
def test_planted_classes_are_learnt(changes: dict) -> None:
    settings = QUICK.model_copy(update={"lr": 1e-2, **changes})
    classifier = fit(training_set(), NAMES, settings)
    features, labels = planted(1, 500)
    assert (classifier.classify(features) == labels).mean() > 0.95


def test_standardised_features_may_have_any_scale() -> None:
    training, (features, _) = training_set(), planted(1, 100)
    scaled = replace(training, features=8 * training.features - 64)
    first, second = fit(training, NAMES, QUICK), fit(scaled, NAMES, QUICK)
    expected = first.logits(features)
    assert torch.allclose(second.logits(8 * features - 64), expected, atol=1e-3)
    raw = fit(training, NAMES, QUICK.model_copy(update={"standardise": False}))
    assert not torch.allclose(raw.logits(features), expected, atol=1e-3)
    assert (raw.network.mean == 0).all()


def test_one_seed_one_classifier() -> None:
    torch.manual_seed(1)
    first = fit(training_set(), NAMES, QUICK)
    torch.manual_seed(2)  # the surroundings do not matter, nor are they disturbed
    before = torch.get_rng_state()
    second = fit(training_set(), NAMES, QUICK)
    assert torch.equal(before, torch.get_rng_state())
    assert first.sha256() == second.sha256()
    assert first.history == second.history
    third = fit(training_set(), NAMES, QUICK.model_copy(update={"seed": 1}))
    assert third.sha256() != first.sha256()


def test_weights_are_those_of_the_best_epoch_on_clips_set_apart() -> None:
    rng = np.random.default_rng(0)
    noisy = training_set()
    wrong = rng.random(len(noisy.labels)) < 0.4
    noisy.labels[wrong] = rng.integers(0, len(NAMES), wrong.sum())
    settings = QUICK.model_copy(update={"lr": 0.02, "epochs": 40, "patience": 3})
    classifier = fit(noisy, NAMES, settings)
    assert len(classifier.history) == classifier.best_epoch + 3 < 40
    scores = [(entry["macro_accuracy"], -entry["loss"]) for entry in classifier.history]
    assert scores.index(max(scores)) == classifier.best_epoch - 1
    apart = np.isin(noisy.clip, validation_clips(noisy, settings))
    found, truth = classifier.classify(noisy.features[apart]), noisy.labels[apart]
    recall = [(found == truth)[truth == c].mean() for c in np.unique(truth)]
    assert np.mean(recall) == pytest.approx(max(scores)[0], abs=1e-6)


def test_clips_set_apart_are_whole_and_drawn_by_name() -> None:
    training = training_set(clips=10)
    settings = ClassifierSettings(validation_fraction=0.3)
    chosen = validation_clips(training, settings)
    assert len(set(chosen.tolist())) == 3
    renumbered = replace(training, clip=9 - training.clip, clip_names=training.clip_names[::-1])
    again = validation_clips(renumbered, settings)
    assert {training.clip_names[i] for i in chosen} == {renumbered.clip_names[i] for i in again}
    assert len(validation_clips(training, ClassifierSettings(validation_fraction=0.01))) == 1
    assert len(validation_clips(training, ClassifierSettings(validation_fraction=0.99))) == 9


def test_without_validation_every_clip_is_trained_on() -> None:
    settings = QUICK.model_copy(update={"validation_fraction": 0.0, "patience": 1})
    classifier = fit(training_set(clips=1), NAMES, settings)
    assert classifier.best_epoch == len(classifier.history) == settings.epochs
    assert "loss" not in classifier.history[0]
    with pytest.raises(SettingsError, match="masklets of two clips are needed"):
        fit(training_set(clips=1), NAMES, QUICK)


def test_rare_classes_weigh_more() -> None:
    labels = torch.tensor([0] * 16 + [1] * 4)
    weighted = ClassifierSettings(class_weighting="inverse_sqrt")
    weight = training_module._class_weights(labels, 3, weighted)
    assert weight is not None
    assert weight.tolist() == pytest.approx([2 / 3, 4 / 3, 0])
    assert training_module._class_weights(labels, 3, ClassifierSettings()) is None


def test_a_loss_beyond_numbers_is_an_error() -> None:
    broken = training_set()
    broken.features[0, 0] = np.inf
    with pytest.raises(RunError, match=r"lr 0\.001: the loss is not finite"):
        fit(broken, NAMES, QUICK.model_copy(update={"standardise": False}))


def test_names_must_fit_the_classes() -> None:
    with pytest.raises(SettingsError, match="class_names: 2 names for 3 classes"):
        fit(training_set(), NAMES[:2], QUICK)


@pytest.mark.parametrize("wrong", [{"hiden": 3}, {"dropout": 1.0}, {"lr": "1e-3"}, {"layers": -1}])
def test_settings_are_strict(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        ClassifierSettings.model_validate(wrong)


def test_void_and_mixed_masklets_are_left_out(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    rows = FeatureRows(
        window=np.zeros(5, np.int32),
        masklet=np.arange(5, dtype=np.int32),
        frame=np.full(5, -1, np.int32),
        area_px=np.array([1, 9, 9, 9, 9]),
        label=np.array([2, VOID, 0, 1, 1], np.uint8),
        purity=np.array([1, 0, 1, 0.4, 0.5], np.float32),
        void_share=np.array([0, 1, 0.6, 0.6, 0.5], np.float32),
        features=np.arange(5 * DIM, dtype=np.float32).reshape(5, DIM),
    )
    metadata = {"settings": {"dtype": "float32"}, "encoder": ENCODER, "num_classes": 3}
    store.write("a", [rows], metadata)
    found = read_training_set(store, ["a"], ClassifierSettings())
    assert found.labels.tolist() == [2, 1]
    assert np.array_equal(found.features, rows.features[[0, 4]])
    assert found.left_out == {"void": 3, "mixed": 0}
    strict = ClassifierSettings(min_purity=0.6, max_void_share=1.0)
    found = read_training_set(store, ["a"], strict)
    assert found.labels.tolist() == [2, 0]
    assert found.left_out == {"void": 1, "mixed": 2}
    void = FeatureRows(*[getattr(rows, name)[1:2] for name in FeatureRows.__dataclass_fields__])
    store.write("b", [void], metadata)
    with pytest.raises(DataError, match="no masklet of 1 clips can be trained on"):
        read_training_set(store, ["b"], ClassifierSettings())


def test_features_must_be_labelled_and_alike(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    write_planted(store, clips=2)
    with pytest.raises(SettingsError, match="name at least one"):
        read_training_set(store, [], ClassifierSettings())
    with pytest.raises(DataError, match="no features of clip clip9"):
        read_training_set(store, ["clip0", "clip9"], ClassifierSettings())
    write_planted(store, clips=1, encoder={**ENCODER, "sha256": "b" * 64})
    with pytest.raises(DataError, match="of another encoder, settings or classes than clip0"):
        read_training_set(store, ["clip0", "clip1"], ClassifierSettings())
    write_planted(store, clips=1, num_classes=None)
    with pytest.raises(DataError, match="extracted without labels"):
        read_training_set(store, ["clip0"], ClassifierSettings())


def test_a_finished_classifier_is_reused_or_refused(tmp_path: Path) -> None:
    store, out = FeatureStore(tmp_path / "features"), tmp_path / "classifier"
    write_planted(store)
    clips = [f"clip{i}" for i in range(4)]
    epochs = list[int]()
    made, reused = train_classifier(store, clips, NAMES, QUICK, out, progress=epochs.append)
    assert not reused
    assert epochs == list(range(1, len(made.history) + 1))
    found, reused = train_classifier(store, clips, NAMES, QUICK, out)
    assert reused
    assert found.sha256() == made.sha256()
    with pytest.raises(DataError, match=r"settings\.seed is 0, not 1"):
        train_classifier(store, clips, NAMES, QUICK.model_copy(update={"seed": 1}), out)
    write_planted(store, rows=21)
    with pytest.raises(DataError, match="features_sha256"):
        train_classifier(store, clips, NAMES, QUICK, out)


def test_an_interrupted_training_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, out = FeatureStore(tmp_path / "features"), tmp_path / "classifier"
    write_planted(store)
    clips = [f"clip{i}" for i in range(4)]

    def cut_off(classifier: Classifier, folder: Path) -> None:
        save_classifier(classifier, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "save_classifier", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(store, clips, NAMES, QUICK, out)
    _, reused = train_classifier(store, clips, NAMES, QUICK, out)
    assert not reused
    (out / RECORD_NAME).unlink()
    with pytest.raises(DataError, match="holds files of unknown origin"):
        train_classifier(store, clips, NAMES, QUICK, out)
