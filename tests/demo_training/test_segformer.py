"""Training on a few generated frames: it learns, resumes exactly, and its export loads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demo_training.segmentors import command
from demo_training.segmentors import segformer as training
from demo_training.segmentors.augmentation import LabelledFrame, random_batch, read_clips
from demo_training.segmentors.optimisation import TrainSettings, export
from demo_training.segmentors.segformer import train
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.errors import DataError
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segformer.segformer import build_segformer, load_segformer
from sam2vss_lib.storage.files import read_json

SETTINGS = TrainSettings(steps=4, batch=2, crop_px=64, warmup_steps=1, checkpoint_steps=2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generated frames: two to train on and one to measure on."""
    root = tmp_path_factory.mktemp("demo")
    write_demo(root, {"train": DemoSplit(70, 1, 2), "val": DemoSplit(71, 1, 1)})
    return root


@pytest.fixture(scope="module")
def labelled(demo: Path) -> list[LabelledFrame]:
    return [frame for clip in read_clips(open_dataset(demo, "train")) for frame in clip]


@pytest.fixture
def architecture(tiny_architecture: dict[str, Any]) -> dict[str, Any]:
    return tiny_architecture | {"num_labels": 12}


def test_interrupted_and_uninterrupted_end_with_the_same_weights(
    labelled: list[LabelledFrame],
    architecture: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = train(architecture, labelled, SETTINGS, tmp_path / "whole.pt").state_dict()
    batches = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 4:  # the checkpoint is of step 2
            raise KeyboardInterrupt
        return random_batch(*arguments)

    monkeypatch.setattr(training, "random_batch", interrupted)
    parts = tmp_path / "parts.pt"
    with pytest.raises(KeyboardInterrupt):
        train(architecture, labelled, SETTINGS, parts)
    resumed = train(architecture, labelled, SETTINGS, parts).state_dict()
    assert batches == 4 + 2
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    finished = train(architecture, labelled, SETTINGS, parts).state_dict()
    assert batches == 4 + 2
    assert all(torch.equal(whole[name], finished[name]) for name in whole)


def test_training_lowers_the_loss(
    labelled: list[LabelledFrame],
    architecture: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = replace(SETTINGS, steps=60, lr=1e-2, checkpoint_steps=15)
    with caplog.at_level("INFO", logger="demo_training"):
        train(architecture, labelled, settings, tmp_path / "state.pt")
    losses = [record.args[2] for record in caplog.records if isinstance(record.args, tuple)]
    assert len(losses) == 4
    assert float(str(losses[-1])) < 0.8 * float(str(losses[0]))


def test_a_seed_is_a_training_and_touches_no_global_generator(
    labelled: list[LabelledFrame], architecture: dict[str, Any], tmp_path: Path
) -> None:
    one_step = replace(SETTINGS, steps=1)
    torch.manual_seed(5)
    first = train(architecture, labelled, one_step, tmp_path / "a.pt").state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    other = train(architecture, labelled, replace(one_step, seed=1), tmp_path / "b.pt").state_dict()
    name = "decode_head.classifier.weight"
    assert not torch.equal(first[name], other[name])


def test_checkpoints_of_another_recipe_or_damaged_are_refused(
    labelled: list[LabelledFrame], architecture: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    train(architecture, labelled, replace(SETTINGS, steps=1), path)
    with pytest.raises(
        DataError, match=r"state.pt: of another architecture or recipe; use a new --out"
    ):
        train(architecture, labelled, replace(SETTINGS, steps=2), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"state.pt: not a readable checkpoint"):
        train(architecture, labelled, SETTINGS, path)


def test_crops_carry_their_labels_along() -> None:
    labels = np.full((60, 80), 255, np.uint8)
    labels[20:45], labels[:, 30:50] = 1, 7
    frame = LabelledFrame(np.repeat(labels[..., None], 3, axis=2), labels)
    rng = np.random.default_rng(3)
    images, crops = random_batch([frame], 16, 32, rng)
    assert images.shape == (16, 3, 32, 32)
    assert images.dtype == torch.float32
    assert (crops.shape, crops.dtype) == ((16, 32, 32), torch.int64)
    # in grey levels as in labels, so only antialiased borders and the brightness set them apart
    assert ((images.mean(1) > 100) == (crops == 255)).float().mean() > 0.93
    assert len({crop.sum().item() for crop in crops}) > 8  # windows differ


def test_export_is_half_the_size_and_loads(architecture: dict[str, Any], tmp_path: Path) -> None:
    network = build_segformer(architecture)
    path = tmp_path / "model.safetensors"
    export(network.state_dict(), path)
    loaded = load_segformer("tiny", architecture, path).network.state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=2**-10, atol=1e-7)
    numbers = sum(value.numel() for value in network.state_dict().values())
    assert 2 * numbers < path.stat().st_size < 2.2 * numbers + 20_000  # 20 kB of names


def test_the_command_trains_exports_and_measures(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(root: str, split: str) -> Dataset:
        assert root == "demo"
        return open_dataset(demo, split.removesuffix("-all"))

    monkeypatch.setattr(command, "open_dataset", small)
    monkeypatch.setattr(training, "RECIPES", {"segformer-micro": replace(SETTINGS, steps=1)})
    training.main(["--out", str(tmp_path), "--only", "micro"])
    weights = tmp_path / "segformer_micro.safetensors"
    assert load_segmentor(f"segformer-micro:{weights}").num_classes == 12
    metrics = read_json(tmp_path / "segformer_micro_metrics.json")
    assert (metrics["frames"], metrics["metrics"]["mVC8"]) == (1, None)
    assert not list(tmp_path.glob("segformer_mini*"))
