"""Masklets labelled by words: features and classes against a slow oracle, records, refusals."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
import torch

from sam2vss_lib.datasets import VOID, Dataset, open_dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.isam2.features import FeatureStore
from sam2vss_lib.isam2.words.classifier import word_classifier
from sam2vss_lib.isam2.words.looks import words_encoder
from sam2vss_lib.isam2.words.model import load_image_text
from sam2vss_lib.isam2.words.phrases import Phrases
from sam2vss_lib.isam2.words.segment import Words, load_words
from sam2vss_lib.isam2.words.settings import LookSettings, WordSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.storage.files import read_json
from tests.isam2.features.common import tiny_masks, write_tiny_masklets
from tests.oracles.words import crop, mean_look

Saved = Callable[[str], Path]
PHRASES: Phrases = {"sky": ("sky",), "road": ("road", "tarmac"), "car": ("car", "red vehicle")}
Look = Literal["crops", "patches", "both"]


@pytest.fixture
def dataset(tiny_vspw: Path) -> Dataset:
    return open_dataset(tiny_vspw, "val")


@pytest.fixture
def masklets(dataset: Dataset, tmp_path: Path) -> MaskletStore:
    store = MaskletStore(tmp_path / "masklets")
    write_tiny_masklets(store, dataset)
    return store


@pytest.mark.parametrize(
    ("kind", "look"),
    # SigLIP 2 keeps a frame's proportions, so that pixels of this one lie across its patches
    [("siglip2", "crops"), *product(("clip", "siglip"), get_args(Look))],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_features_are_means_over_all_pixels_of_a_window(
    saved: Saved,
    dataset: Dataset,
    masklets: MaskletStore,
    tmp_path: Path,
    kind: str,
    look: Look,
    stride: int,
) -> None:
    outside: Literal["mean", "kept"] = "kept" if stride == 2 else "mean"
    settings = LookSettings(look=look, outside=outside, margin=0.25, frame_stride=stride)
    model = load_image_text(f"hf:{saved(kind)}")
    store = FeatureStore(tmp_path / "features")
    words = load_words(f"hf:{saved(kind)}", PHRASES, settings)
    words.extract(dataset, masklets, store, with_labels=False)
    colour = [round(255 * part) for part in model.processor.image_mean]

    def of_crop(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        square = crop(image, mask, colour, 0.25, outside == "kept")
        return model.image_features([square])[0].numpy()

    for number, clip in enumerate(dataset):
        rows, first, next_id = store.read(clip.name).rows, 0, 0
        found = dict(zip(rows.masklet.tolist(), rows.features, strict=True))
        for masks in tiny_masks(number):
            frames = [clip.frame(first + i) for i in range(len(masks))]
            for n in range(masks.shape[1]):
                wanted = mean_look(
                    frames[::stride],
                    [one[n] for one in masks[::stride]],
                    of_crop,
                    lambda image: model.patch_features(image).numpy(),
                    look,
                )
                assert (wanted is None) == (next_id not in found)
                if wanted is not None:
                    np.testing.assert_allclose(found[next_id], wanted, atol=2e-3)
                next_id += 1
            first += len(masks)


def test_a_class_is_the_best_or_all_of_its_phrases_over_the_templates(saved: Saved) -> None:
    model = load_image_text(f"hf:{saved('siglip')}")
    encoder = words_encoder(model, LookSettings())
    templates, features = ["a {}", "the {} ."], np.random.default_rng(0).normal(size=(5, 32))
    for union in ("max", "log-sum-exp"):
        settings = WordSettings(templates=templates, union=union, temperature=2.0)
        classifier = word_classifier(model, encoder, PHRASES, settings)
        for row, vector in enumerate(features):
            scores = list[float]()
            for said in PHRASES.values():
                of_phrases = list[float]()
                for phrase in said:
                    texts = [model.text_features([t.replace("{}", phrase)])[0] for t in templates]
                    mean = np.mean([text.numpy() for text in texts], 0)
                    cosine = mean @ vector / np.linalg.norm(mean) / np.linalg.norm(vector)
                    of_phrases.append(model.scale * cosine / 2)
                all_of_them = np.log(np.sum(np.exp(of_phrases)))
                scores.append(max(of_phrases) if union == "max" else all_of_them)
            got = classifier.logits(features)[row].numpy()
            np.testing.assert_allclose(got, scores, atol=1e-4)
            wanted = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(classifier.probabilities(features)[row], wanted, atol=1e-4)
            assert classifier.classify(features)[row] == np.argmax(scores)


def words_of(saved: Saved, temperature: float = 1.0) -> Words:
    settings = WordSettings(temperature=temperature)
    return load_words(f"hf:{saved('clip')}", PHRASES, None, settings)


@pytest.mark.parametrize("filled", [False, True])
def test_labels_and_probabilities_are_of_the_masklet_on_top(
    saved: Saved, dataset: Dataset, masklets: MaskletStore, tmp_path: Path, filled: bool
) -> None:
    words, features = words_of(saved), FeatureStore(tmp_path / "features")
    base, out = PredictionFolder(tmp_path / "base", 3), PredictionFolder(tmp_path / "out", 3)
    below = np.array([0.2, 0.3, 0.5], np.float16)[:, None, None].repeat(2, 1).repeat(4, 2)
    for clip in dataset:
        for i in range(clip.num_frames):
            base.write(clip, i, np.full(clip.size, 2, np.uint8), below)
    fill = base if filled else None
    words.segment(dataset, masklets, features, out, fill=fill, save_probabilities=True)
    seen = 0
    for clip in dataset:
        rows = features.read(clip.name).rows
        chances = dict(
            zip(
                rows.masklet.tolist(),
                words.classifier.probabilities(rows.features),
                strict=True,
            )
        )
        for window in masklets.read(clip.name).windows():
            for part in window:
                ids = part.values("masklet").tolist()
                who = painters(part, "area")
                labels = out.read(clip, part.frame)
                found = out.read_probabilities(clip, part.frame)
                assert found is not None
                assert found.shape == (3, 6, 8)
                for y, x in np.ndindex(6, 8):
                    top = who[4 * y + 2, 4 * x + 2]
                    wanted = np.full(3, 1 / 3) if fill is None else [0.2, 0.3, 0.5]
                    label = VOID if fill is None else 2
                    if top >= 0:
                        wanted = chances[ids[top]]
                        label, seen = np.argmax(wanted), seen + 1
                    np.testing.assert_allclose(found[:, y, x], wanted, atol=1e-3)
                    assert labels[4 * y + 2, 4 * x + 2] == label
    assert seen > 50


def test_records_say_what_labels_are_made_of_and_stale_ones_are_refused(
    saved: Saved, dataset: Dataset, masklets: MaskletStore, tmp_path: Path
) -> None:
    words, features = words_of(saved), FeatureStore(tmp_path / "features")
    out = PredictionFolder(tmp_path / "out", 3)
    done = list[str]()
    assert words.segment(dataset, masklets, features, out, progress=done.append) == 0
    assert done == ["first", "second"]
    record = read_json(out.root / "first" / "made_from.json")
    assert record["model"] == "hf:clip"
    assert record["temperature"] == 1.0
    assert len(record["templates"]) == 4
    assert record["phrases"] == 5
    assert {"model_sha256", "phrases_sha256", "versions", "union"} <= {*record}
    times = [features.path(clip.name).stat().st_mtime_ns for clip in dataset]
    out.path(dataset.clips[1], 0).unlink()
    assert words.segment(dataset, masklets, features, out) == 1
    assert not out.missing(dataset.clips[1])
    other = load_words(f"hf:{saved('clip')}", {**PHRASES, "sky": ("blue sky",)})
    with pytest.raises(DataError, match=r"first: made with other inputs: classifier_sha256 is"):
        other.segment(dataset, masklets, features, out)
    with pytest.raises(DataError, match="save_probabilities is None, not True"):
        words.segment(dataset, masklets, features, out, save_probabilities=True)
    # other words go with the same features, another look does not
    assert other.segment(dataset, masklets, features, PredictionFolder(tmp_path / "o2", 3)) == 0
    assert times == [features.path(clip.name).stat().st_mtime_ns for clip in dataset]
    with pytest.raises(DataError, match=r"made with other inputs: encoder"):
        load_words(f"hf:{saved('clip')}", PHRASES, LookSettings(margin=0.3)).segment(
            dataset, masklets, features, out
        )


def test_the_temperature_is_the_one_at_which_labels_are_most_likely(
    saved: Saved, dataset: Dataset, tmp_path: Path
) -> None:
    masks = np.zeros((5, 7, 24, 32), bool)
    for n, rows_of_mask in enumerate(((0, 10), (2, 14), (8, 14), (10, 24), (14, 20), (10, 22))):
        masks[:, n, slice(*rows_of_mask), 2 * n :] = True
    for t in range(5):
        masks[t, 6, 11:20, 4 + 3 * t : 12 + 3 * t] = True  # the car, and some road
    masklets = MaskletStore(tmp_path / "masklets")
    write_tiny_masklets(masklets, dataset, {clip.name: [masks] for clip in dataset})
    words, features = words_of(saved, temperature=3.0), FeatureStore(tmp_path / "features")
    words.extract(dataset, masklets, features, with_labels=True)
    rows = [features.read(clip.name).rows for clip in dataset]
    # words that mean something: those nearest to what masklets of a class look like
    seen, label = (np.concatenate([getattr(r, k) for r in rows]) for k in ("features", "label"))
    known = [torch.from_numpy(seen[label == c].mean(0)).float() for c in range(3)]
    known[2] = torch.from_numpy(seen[label == 1][0]).float()  # and are wrong at times
    vectors = tuple((vector / vector.norm())[None] for vector in known)
    classifier = replace(words.classifier, vectors=vectors, scale=100.0)
    found = replace(words, classifier=classifier).temperature(dataset, masklets, features)

    def surprise(temperature: float) -> float:
        total = 0.0
        tried = replace(classifier, settings=WordSettings(temperature=temperature))
        for part in rows:
            logs = tried.logits(part.features).double().log_softmax(1)
            for row in range(len(part)):
                share = part.purity[row] * (1 - part.void_share[row]) * part.area_px[row]
                if part.label[row] != VOID:
                    total -= share * float(logs[row, part.label[row]])
        return total

    assert 0.1 < found < 10
    tried = [surprise(float(one)) for one in np.geomspace(0.1, 10, 41)]
    assert surprise(found) == pytest.approx(min(tried), rel=1e-3)
    untouched = replace(classifier, settings=WordSettings())
    assert found == replace(words, classifier=untouched).temperature(dataset, masklets, features)
    unlabelled = FeatureStore(tmp_path / "unlabelled")
    words.extract(dataset, masklets, unlabelled, with_labels=False)
    with pytest.raises(DataError, match="made with other inputs"):
        words.temperature(dataset, masklets, unlabelled)


def test_images_are_read_a_frame_at_a_time_and_crops_in_batches(
    saved: Saved, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many masklets there are, the network has few crops at once."""
    masks = np.zeros((5, 70, 24, 32), bool)
    for n in range(70):
        masks[:, n, n % 20 : n % 20 + 4, n % 25 : n % 25 + 4] = True
    store = MaskletStore(tmp_path / "many")
    write_tiny_masklets(store, dataset, {clip.name: [masks] for clip in dataset})
    words = words_of(saved)
    sizes = list[int]()
    kind = type(load_image_text(f"hf:{saved('clip')}").network.vision_model)
    forward = kind.forward

    def counting(self: torch.nn.Module, pixel_values: torch.Tensor, **given: object) -> object:
        sizes.append(len(pixel_values))
        return forward(self, pixel_values=pixel_values, **given)

    monkeypatch.setattr(kind, "forward", counting)
    words.extract(dataset.take(1), store, FeatureStore(tmp_path / "f"), with_labels=False)
    assert sizes == [32, 32, 6] * 5
