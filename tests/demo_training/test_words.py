"""Training of the demo image-text model on a few generated frames: captions, loss, resuming."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demo_training.segmentors.optimisation import TrainSettings
from demo_training.words import clip as training
from demo_training.words.captions import COLOURS, OTHER_WORDS, Region, caption_of, regions_of
from demo_training.words.clip import contrast, draw_images, tokenizer_of, train
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.datasets.demo.world import CLASS_NAMES
from sam2vss_lib.isam2.words.model import load_image_text

SETTINGS = TrainSettings(steps=4, batch=6, crop_px=64, warmup_steps=1, checkpoint_steps=2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("demo")
    write_demo(root, {"train": DemoSplit(70, 2, 3)})
    return open_dataset(root, "train")


@pytest.fixture(scope="module")
def regions(demo: Dataset) -> list[Region]:
    return regions_of(demo, 2)


def test_captions_are_true_of_their_regions(demo: Dataset, regions: list[Region]) -> None:
    rng, words = np.random.default_rng(0), [*COLOURS]
    known = {id(region.image) for region in regions}
    assert len(known) == 4  # two of three frames of each clip
    for region in regions:
        assert region.mask.sum() >= 80
        for _ in range(20):
            caption = caption_of(region, CLASS_NAMES, rng)
            assert caption.of(region)
            name = CLASS_NAMES[region.label]
            assert any(word in caption.text for word in (name, *OTHER_WORDS.get(name, ())))
            assert (words[region.colour] in caption.text.split()) == (caption.colour is not None)
            other = replace(region, label=(region.label + 1) % len(CLASS_NAMES))
            assert not caption.of(other)
    images = draw_images(regions[:3], rng)
    assert images.shape == (3, 3, 64, 64)
    assert len({image.sum().item() for image in draw_images([regions[0]] * 8, rng)}) == 8


def test_every_word_of_a_caption_is_one_token() -> None:
    tokenizer = tokenizer_of(CLASS_NAMES)
    assert tokenizer.get_vocab() == tokenizer_of(CLASS_NAMES).get_vocab()
    text = "a photo of a purple hot air balloon."
    assert len(tokenizer(text)["input_ids"]) == 1 + len(text.split()) + 1 + 1  # ends, and the dot


def test_the_loss_wants_all_that_is_true_alike() -> None:
    cosines, scale = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)), 3.0
    true = torch.tensor([[True, False, True], [False, True, False], [True, False, True]])
    total = 0.0
    for scores, wanted in ((cosines, true), (cosines.T, true.T)):
        for row, which in zip(scores, wanted, strict=True):
            logs = scale * row - torch.log(torch.exp(scale * row).sum())
            total -= float(logs[which].mean()) / 6
    assert float(contrast(cosines, true, torch.tensor(scale))) == pytest.approx(total, rel=1e-5)


def test_interrupted_and_uninterrupted_end_with_the_same_weights(
    regions: list[Region], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    whole, tokenizer = train(regions, CLASS_NAMES, SETTINGS, tmp_path / "whole.pt")
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))  # no global generator was touched
    batches = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 4:  # the checkpoint is of step 2
            raise KeyboardInterrupt
        return draw_images(*arguments)

    monkeypatch.setattr(training, "draw_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(regions, CLASS_NAMES, SETTINGS, tmp_path / "parts.pt")
    resumed, _ = train(regions, CLASS_NAMES, SETTINGS, tmp_path / "parts.pt")
    assert batches == 4 + 2
    state = resumed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())

    before = float(whole.state_dict()["logit_scale"])
    training.save(whole, tokenizer, tmp_path / "model")
    loaded = load_image_text(f"hf:{tmp_path / 'model'}")
    assert loaded.scale == pytest.approx(np.exp(before), rel=1e-3)


def test_the_command_trains_and_saves(
    demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(root: str, split: str) -> Dataset:
        assert (root, split) == ("demo", "train-all")
        return demo

    monkeypatch.setattr(training, "open_dataset", small)
    monkeypatch.setattr(training, "RECIPE", replace(SETTINGS, steps=1))
    training.main(["--out", str(tmp_path)])
    model = load_image_text(f"hf:{tmp_path / 'model'}")
    assert model.text_features(["a car"]).shape == (1, 64)
