"""Image-text models: their vectors as transformers gives them, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.words.model import load_image_text
from sam2vss_lib.storage.files import read_json, write_json
from tests.isam2.words.conftest import KINDS

Saved = Callable[[str], Path]
TEXTS = ["a photo of a car.", "the sky", "tarmac"]


def noise(*size: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_transformers_with_the_processor_it_saves(
    saved: Saved, kind: str
) -> None:
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    folder = saved(kind)
    model = load_image_text(f"hf:{folder}")
    network = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    square = noise(50, 50)
    with torch.inference_mode():
        read = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt")
        if kind != "clip":
            del read["attention_mask"]
        read.pop("token_type_ids", None)
        texts = F.normalize(network.get_text_features(**read).pooler_output, dim=-1)
        pixels = AutoImageProcessor.from_pretrained(folder)(
            Image.fromarray(square), return_tensors="pt"
        )
        image = F.normalize(network.get_image_features(**pixels).pooler_output, dim=-1)
    torch.testing.assert_close(model.text_features(TEXTS), texts, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.image_features([square]), image, atol=1e-5, rtol=0)
    assert texts.std(0).max() > 1e-3  # words differ
    assert model.name == f"hf:{kind}"
    assert model.scale == pytest.approx(float(network.logit_scale.detach().exp()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [32, 64])
def test_a_patch_is_what_the_whole_image_would_be_if_attended_alone(
    saved: Saved, kind: str, side: int
) -> None:
    """On an image of one colour without positions, all patches are alike, and so is the image."""
    model = load_image_text(f"hf:{saved(kind)}")
    vision = model.network.vision_model
    with torch.no_grad():
        vision.embeddings.position_embedding.weight.zero_()
        if kind == "clip":  # a class token that is like a patch
            plain = np.full((64, 64, 3), 90, np.uint8)
            pixels = model._read([plain], 32)["pixel_values"]
            vision.embeddings.class_embedding.copy_(
                vision.embeddings.patch_embedding(pixels)[0, :, 0, 0]
            )
    plain = np.full((64, 64, 3), 90, np.uint8)
    found = model.patch_features(plain, side)
    assert found.shape[1:] == (side // 8, side // 8)
    whole = model.image_features([plain])[0][:, None, None].expand_as(found)
    torch.testing.assert_close(found, whole, atol=1e-4, rtol=0)


def test_frames_of_any_proportions_have_patches(saved: Saved) -> None:
    frame = noise(30, 60)
    assert load_image_text(f"hf:{saved('clip')}").patch_features(frame).shape == (16, 4, 4)
    _, h, w = load_image_text(f"hf:{saved('siglip2')}").patch_features(frame).shape
    assert h < w  # as the frame
    assert h * w <= 16


@pytest.fixture
def model(saved: Saved, tmp_path: Path) -> Path:
    """A model that may be spoilt."""
    return Path(shutil.copytree(saved("clip"), tmp_path / "model"))


def refused(spec: str, error: type[Exception], *parts: str) -> None:
    with pytest.raises(error) as found:
        load_image_text(spec)
    text = str(found.value)
    assert "\n" not in text
    assert all(part in text for part in parts), text


def test_a_model_that_is_not_here_or_of_another_kind(model: Path, tmp_path: Path) -> None:
    refused("hf:nobody/nothing", DataError, "`sam2vss checkpoints fetch hf:nobody/nothing`")
    refused("clip", SettingsError, "model clip: is no image-text model; give demo, or hf:NAME")
    refused("hf:", SettingsError, "give demo")
    refused(f"hf:{tmp_path}", DataError, "not a usable transformers model")
    write_json(model / "config.json", {"model_type": "vit", "architectures": ["ViTModel"]})
    refused(f"hf:{model}", SettingsError, "holds a ViTModel, which does not compare images with w")


def test_a_missing_tokenizer_or_processor(model: Path) -> None:
    (model / "preprocessor_config.json").rename(model / "elsewhere")
    refused(f"hf:{model}", DataError, "holds no preprocessor_config.json")
    (model / "elsewhere").rename(model / "preprocessor_config.json")
    for path in (*model.glob("tokenizer*"), *model.glob("vocab*"), *model.glob("merges*")):
        path.unlink()
    refused(f"hf:{model}", DataError, "holds no tokenizer.json", "save the model's tokenizer")


def test_weights_that_are_missing_pickled_or_broken(model: Path) -> None:
    weights = model / "model.safetensors"
    state = load_file(weights)
    key = "text_projection.weight"
    save_file({k: v for k, v in state.items() if k != key}, weights, {"format": "pt"})
    refused(f"hf:{model}", DataError, f"1 weights are missing or of another shape, such as {key}")
    save_file({**state, key: state[key] * torch.nan}, weights, {"format": "pt"})
    refused(f"hf:{model}", DataError, f"{key} has values that are not finite")
    weights.write_bytes(b"cut short")
    refused(f"hf:{model}", DataError, "not a usable transformers model")
    weights.unlink()
    refused(f"hf:{model}", DataError, "holds no weights; give a folder or revision with model.saf")
    (model / "open_clip_pytorch_model.bin").write_bytes(b"")
    refused(f"hf:{model}", DataError, "only the pickled open_clip_pytorch_model.bin")


def test_what_vectors_follow_from_is_told_apart(saved: Saved, model: Path) -> None:
    before = load_image_text(f"hf:{saved('clip')}")
    assert load_image_text(f"hf:{model}").sha256 == before.sha256
    path = model / "preprocessor_config.json"
    write_json(path, {**read_json(path), "image_mean": [0.1, 0.1, 0.1]})
    assert load_image_text(f"hf:{model}").sha256 != before.sha256
