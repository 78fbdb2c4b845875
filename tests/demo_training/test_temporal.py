"""Training of temporal heads on a fixed encoder: where it begins, its loss, that it resumes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from demo_training.segmentors import temporal as temporal_training
from demo_training.segmentors.augmentation import LabelledFrame, random_clips, read_clips
from demo_training.segmentors.optimisation import TrainSettings
from demo_training.segmentors.temporal import clip_loss, train
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.segmentors.pixels import normalise
from sam2vss_lib.segmentors.segformer.segformer import load_segformer
from sam2vss_lib.segmentors.temporal.architectures import TemporalArchitecture

SETTINGS = TrainSettings(steps=4, batch=1, crop_px=64, warmup_steps=1, checkpoint_steps=2)
HEADS: dict[str, dict[str, Any]] = {
    "cffm": {"depth": 1, "heads": 2, "mlp_ratio": 1.0},
    "mrcfa": {},
}

Clips = list[list[LabelledFrame]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    root = tmp_path_factory.mktemp("demo")
    write_demo(root, {"train": DemoSplit(72, 1, 11)})
    return read_clips(open_dataset(root, "train"))


@pytest.fixture(params=HEADS)
def architecture(
    request: pytest.FixtureRequest, tiny_architecture: dict[str, Any]
) -> TemporalArchitecture:
    settings = {"embed_dim": 8, "dropout": 0.0, **HEADS[request.param]}
    return TemporalArchitecture(
        head=request.param, encoder=tiny_architecture, head_settings=settings, num_classes=12
    )


@pytest.fixture
def start(tiny_checkpoint: Path) -> dict[str, torch.Tensor]:
    """A SegFormer's weights, with twelve classes."""
    state = load_file(tiny_checkpoint)
    generator = torch.Generator().manual_seed(2)
    state["decode_head.classifier.weight"] = torch.randn(12, 8, 1, 1, generator=generator)
    state["decode_head.classifier.bias"] = torch.zeros(12)
    return state


def test_frames_alone_begin_as_the_segformer_has_them(
    architecture: TemporalArchitecture,
    start: dict[str, torch.Tensor],
    clips: Clips,
    tiny_architecture: dict[str, Any],
    tmp_path: Path,
) -> None:
    network = train(architecture, start, clips, replace(SETTINGS, steps=0), tmp_path / "state.pt")
    network.eval()
    path = tmp_path / "start.safetensors"
    save_file(start, path)
    segformer = load_segformer("tiny", tiny_architecture | {"num_labels": 12}, path).network
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        alone = network.decode_head.frame_logits(network.frame_features(pixels))
        torch.testing.assert_close(alone, segformer(pixels).logits, rtol=1e-3, atol=1e-3)


def test_interrupted_and_uninterrupted_end_with_the_same_heads_on_the_same_encoder(
    architecture: TemporalArchitecture,
    start: dict[str, torch.Tensor],
    clips: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = train(architecture, start, clips, SETTINGS, tmp_path / "whole.pt").state_dict()
    steps = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 4:  # the checkpoint is of step 2
            raise KeyboardInterrupt
        return random_clips(*arguments)

    monkeypatch.setattr(temporal_training, "random_clips", interrupted)
    parts = tmp_path / "parts.pt"
    with pytest.raises(KeyboardInterrupt):
        train(architecture, start, clips, SETTINGS, parts)
    resumed = train(architecture, start, clips, SETTINGS, parts).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    encoder = {name: value for name, value in start.items() if name.startswith("segformer.")}
    kept = {f"segformer.{k.removeprefix('backbone.')}": v for k, v in whole.items()}
    assert all(torch.equal(kept[name], value) for name, value in encoder.items())
    assert any(name.startswith("decode_head.") for name in whole)


def test_the_loss_is_of_the_target_and_half_of_the_rest_without_void(
    architecture: TemporalArchitecture,
    start: dict[str, torch.Tensor],
    clips: Clips,
    tmp_path: Path,
) -> None:
    network = train(architecture, start, clips, replace(SETTINGS, steps=0), tmp_path / "state.pt")
    images, labels = random_clips(clips, (-9, -6, -3, 0), 2, 64, np.random.default_rng(0))
    labels[..., :32] = 255
    loss = clip_loss(network, images, labels)
    loss.backward()
    assert [n for n, p in network.decode_head.named_parameters() if p.grad is None] == []
    assert all(parameter.grad is None for parameter in network.backbone.parameters())

    def entropy(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        large = torch.nn.functional.interpolate(logits, truth.shape[1:], mode="bilinear")
        chosen = large.log_softmax(1).gather(1, truth.clamp(max=11)[:, None])[:, 0]
        return -chosen[truth != 255].mean()

    head: Any = network.decode_head
    frames = [network.frame_features(normalise(images[:, t])) for t in range(4)]
    outputs = head.clip_logits_all(frames) if architecture.head == "mrcfa" else None
    *others, last = outputs or (head.clip_logits(frames),)
    alone = [entropy(head.frame_logits(frames[t]), labels[:, t]) for t in range(4)]
    expected = entropy(last, labels[:, -1]) + 0.5 * sum(alone) / 4
    if others:
        expected += 0.5 * sum(entropy(other, labels[:, -1]) for other in others) / len(others)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_frames_of_a_sample_share_their_crop() -> None:
    labels = [np.full((60, 80), value, np.uint8) for value in range(12)]
    clip = [LabelledFrame(np.repeat(one[..., None], 3, axis=2), one) for one in labels]
    for one in clip:
        one.image[:, :40] = 200  # the same in every frame, so that only the crop decides
    images, drawn = random_clips([clip], (-9, -6, -3, 0), 8, 32, np.random.default_rng(1))
    assert images.shape == (8, 4, 3, 32, 32)
    values = drawn[:, :, 0, 0]
    assert torch.equal(values - values[:, :1], torch.tensor([[0, 3, 6, 9]]).expand(8, 4))
    bright = images > 100
    assert torch.equal(bright, bright[:, :1].expand_as(bright))
