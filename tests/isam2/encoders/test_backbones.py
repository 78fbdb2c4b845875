"""Encoders of other libraries, from local files only."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.encoders import load_encoder
from sam2vss_lib.isam2.encoders.hugging_face import as_map, load_transformers, preprocessing
from sam2vss_lib.storage.files import read_json, write_json

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
PATCHES: dict[str, Any] = {**SMALL, "image_size": 32, "patch_size": 8}


def make_vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**PATCHES))


def make_registers() -> Any:
    config = transformers.Dinov2WithRegistersConfig(**PATCHES, num_register_tokens=4)
    return transformers.Dinov2WithRegistersModel(config)


def make_clip() -> Any:
    words = {**SMALL, "vocab_size": 50}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=words, vision_config=PATCHES))


def make_swin() -> Any:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    )
    return transformers.SwinModel(config)


def make_convnext() -> Any:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    return transformers.ConvNextModel(config)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Neither progress bars nor reports of unused weights."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(before)


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("make", "dim", "stride", "side_px"),
    [
        (make_vit, 16, 8, 32),
        (make_registers, 16, 8, 32),
        (make_clip, 16, 8, 32),
        (make_swin, 16, 8, 32),
        (make_convnext, 20, 32, 224),
    ],
)
def test_any_architecture_gives_a_map(
    tmp_path: Path, image: np.ndarray, make: Any, dim: int, stride: int, side_px: int
) -> None:
    encoder = load_encoder(f"transformers:{save(make(), tmp_path)}")
    assert (encoder.dim, encoder.stride) == (dim, stride)
    found = encoder.encode(image)
    assert found.shape == (dim, side_px // stride, side_px // stride)
    assert torch.equal(found, encoder.encode(image))


def test_patches_keep_their_places(tmp_path: Path) -> None:
    """What changes in a corner of the frame changes most in that corner of the map."""
    torch.manual_seed(0)
    encoder = load_transformers(str(save(make_vit(), tmp_path)))
    plain = np.full((64, 64, 3), 128, np.uint8)
    marked = plain.copy()
    marked[:16, 48:] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    change = (encoder.encode(marked) - encoder.encode(plain)).norm(dim=0)
    assert divmod(int(change.argmax()), 4) == (0, 3)


def test_larger_inputs_have_larger_maps(tmp_path: Path, image: np.ndarray) -> None:
    folder = save(make_vit(), tmp_path)
    own, larger = load_encoder(f"transformers:{folder}"), load_encoder(f"transformers:{folder}@64")
    assert larger.encode(image).shape == (16, 8, 8)
    assert (larger.stride, own.sha256 != larger.sha256) == (8, True)


def test_normalisation_is_the_models(tmp_path: Path, image: np.ndarray) -> None:
    folder = save(make_vit(), tmp_path)
    before = load_encoder(f"transformers:{folder}")
    write_json(
        folder / "preprocessor_config.json", {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    )
    after = load_encoder(f"transformers:{folder}")
    assert before.sha256 != after.sha256
    assert not torch.allclose(before.encode(image), after.encode(image))


def test_models_of_timm_say_size_colours_and_width_in_their_configuration(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the wrapper of `transformers`, as timm is not among the pinned packages."""
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])
    folder = save(transformers.ResNetModel(config), tmp_path)
    timm = {"input_size": [3, 64, 64], "mean": [0.4] * 3, "std": [0.3] * 3}
    said = {"num_features": 12, "pretrained_cfg": timm}
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **said})
    encoder = load_transformers(str(folder))
    assert preprocessing(folder)[:2] == ((0.4,) * 3, (0.3,) * 3)
    found = encoder.encode(image)
    assert found.shape == (12, 8, 8)
    forward: Any = transformers.ResNetModel.forward

    def channels_last(self: Any, pixel_values: torch.Tensor) -> Any:
        maps = forward(self, pixel_values).last_hidden_state
        return SimpleNamespace(last_hidden_state=maps.permute(0, 2, 3, 1))

    monkeypatch.setattr(transformers.ResNetModel, "forward", channels_last)
    assert torch.equal(load_transformers(str(folder)).encode(image), found)


def test_weights_of_a_head_may_be_left_out_others_not(tmp_path: Path) -> None:
    folder = save(make_vit(), tmp_path)
    state = load_file(folder / "model.safetensors")
    bare = {key: value for key, value in state.items() if "pooler" not in key}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    load_encoder(f"transformers:{folder}")
    bare.pop(next(key for key in bare if "layer" in key))
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="1 weights are missing, such as"):
        load_encoder(f"transformers:{folder}")


def test_what_is_no_model_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no-one/no-model: no folder, and no model of this name"):
        load_encoder("transformers:no-one/no-model")
    with pytest.raises(SettingsError, match="needs a folder or a model's name"):
        load_encoder("transformers:")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="not a transformers model") as caught:
        load_encoder(f"transformers:{tmp_path}")
    assert "\n" not in str(caught.value)
    write_json(tmp_path / "config.json", {"architecture": "resnet18", "pretrained_cfg": {}})
    with pytest.raises(DataError, match=r"not a transformers model \(.*timm"):
        load_encoder(f"transformers:{tmp_path}")
    with pytest.raises(SettingsError, match="'large' after @ is no side in px"):
        load_encoder(f"transformers:{tmp_path}@large")


def test_tokens_become_a_map_row_by_row() -> None:
    patches = torch.arange(9.0)[:, None]
    wanted = patches.reshape(1, 3, 3)
    assert torch.equal(as_map(patches, 30, 10), wanted)
    assert torch.equal(as_map(torch.cat([torch.full((5, 1), -1.0), patches]), 30, 10), wanted)
    assert torch.equal(as_map(patches, 48, 4), wanted)  # fewer tokens than patches: a later stage
    assert torch.equal(as_map(wanted, 30, None), wanted)
    with pytest.raises(SettingsError, match="neither map nor tokens"):
        as_map(patches[0], 30, 10)
