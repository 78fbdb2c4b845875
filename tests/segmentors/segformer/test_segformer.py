"""Inference: shapes, sizes, batches, probabilities; loading: layouts and misfits."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.segmentors.segformer.segformer import SegFormer, build_segformer, load_segformer
from sam2vss_lib.storage.files import sha256_file


def test_prediction_has_the_frames_size_and_a_quarter_of_the_stretched(
    tiny_segformer: SegFormer, frames: Tensor
) -> None:
    prediction = tiny_segformer.predict(frames, with_probabilities=True)
    assert prediction.labels.dtype == torch.uint8
    assert prediction.labels.shape == (3, 45, 70)
    assert prediction.labels.unique().tolist() == [0, 1, 2]
    assert prediction.probabilities is not None
    assert prediction.probabilities.dtype == torch.float16
    assert prediction.probabilities.shape == (3, 3, 64 // 4, 96 // 4)
    assert tiny_segformer.num_classes == 3


def test_probabilities_only_when_wanted(tiny_segformer: SegFormer, frames: Tensor) -> None:
    assert tiny_segformer.predict(frames).probabilities is None


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (32, 64), (97, 40)])
def test_any_size(tiny_segformer: SegFormer, size: tuple[int, int]) -> None:
    frame = torch.full((1, *size, 3), 99, dtype=torch.uint8)
    assert tiny_segformer.predict(frame).labels.shape == (1, *size)


def test_labels_equal_the_textbook_computation(tiny_segformer: SegFormer, frames: Tensor) -> None:
    whole = frames[:, :32, :64]  # needs no stretching
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((whole / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = tiny_segformer.network(pixels).logits
    scores = F.interpolate(logits, (32, 64), mode="bilinear", align_corners=False).softmax(1)
    same = tiny_segformer.predict(whole).labels == scores.argmax(1)
    # another order of float operations may turn a tie
    assert same.float().mean() > 0.999


def test_batch_equals_single_frames(tiny_segformer: SegFormer, frames: Tensor) -> None:
    together = tiny_segformer.predict(frames, with_probabilities=True)
    assert together.probabilities is not None
    for i in range(len(frames)):
        alone = tiny_segformer.predict(frames[i : i + 1], with_probabilities=True)
        assert alone.probabilities is not None
        # kernels for other batch sizes sum in another order: one unit of float16 at most
        torch.testing.assert_close(
            alone.probabilities[0], together.probabilities[i], rtol=0, atol=2**-10
        )
        assert (alone.labels[0] == together.labels[i]).float().mean() > 0.999


def test_probabilities_sum_to_one_and_lead_to_the_labels(
    tiny_segformer: SegFormer, frames: Tensor
) -> None:
    prediction = tiny_segformer.predict(frames, with_probabilities=True)
    assert prediction.probabilities is not None
    probabilities = prediction.probabilities.float()
    # three values in 0..1, each rounded by at most 2**-12
    assert (probabilities.sum(1) - 1).abs().max() <= 3 * 2**-12 + 1e-6
    upsampled = F.interpolate(probabilities, (45, 70), mode="bilinear", align_corners=False)
    # labels interpolate logits, not probabilities: the borders between classes shift a little
    assert (upsampled.argmax(1) == prediction.labels).float().mean() > 0.95


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(1, 32, 32, 3),
        torch.zeros(32, 32, 3, dtype=torch.uint8),
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
    ],
    ids=["float", "no batch", "channels first"],
)
def test_wrong_frames_are_refused(tiny_segformer: SegFormer, wrong: Tensor) -> None:
    with pytest.raises(SettingsError, match=re.escape("not torch.uint8 (B, H, W, 3)")):
        tiny_segformer.predict(wrong)


def test_saved_and_loaded_gives_the_same_labels(
    tiny_segformer: SegFormer, tiny_architecture: dict[str, Any], frames: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "again.safetensors"
    save_file(tiny_segformer.network.state_dict(), path)
    again = load_segformer("again", tiny_architecture, path)
    assert torch.equal(again.predict(frames).labels, tiny_segformer.predict(frames).labels)
    assert again.checkpoint_sha256 == sha256_file(path)


def test_a_hugging_face_folder_with_the_names_of_transformers_4(
    tiny_segformer: SegFormer, tiny_architecture: dict[str, Any], frames: Tensor, tmp_path: Path
) -> None:
    folder = tmp_path / "huggingface"
    tiny_segformer.network.save_pretrained(folder)
    names = load_file(folder / "model.safetensors").keys()
    assert "segformer.encoder.block.0.0.attention.self.query.weight" in names
    loaded = load_segformer("folder", tiny_architecture, folder)
    assert torch.equal(loaded.predict(frames).labels, tiny_segformer.predict(frames).labels)
    assert loaded.checkpoint_sha256 == sha256_file(folder / "model.safetensors")


def test_classes_and_decoder_width_come_from_the_weights(
    tiny_checkpoint: Path, tiny_architecture: dict[str, Any]
) -> None:
    del tiny_architecture["num_labels"], tiny_architecture["decoder_hidden_size"]
    assert load_segformer("tiny", tiny_architecture, tiny_checkpoint).num_classes == 3


def test_weights_of_another_architecture_are_counted(
    tiny_checkpoint: Path, tiny_architecture: dict[str, Any]
) -> None:
    tiny_architecture["depths"] = [2, 1, 1, 1]
    names = build_segformer(tiny_architecture).state_dict()
    missing = sum(name.startswith("segformer.stages.0.blocks.1.") for name in names)
    with pytest.raises(DataError, match=rf"do not fit deeper: {missing} missing \(segf"):
        load_segformer("deeper", tiny_architecture, tiny_checkpoint)
    tiny_architecture["depths"] = [1, 1, 1, 1]
    tiny_architecture["num_labels"] = 5
    with pytest.raises(DataError, match=r"fit wider: 2 of another shape \(decode"):
        load_segformer("wider", tiny_architecture, tiny_checkpoint)
