"""What is refused: one line, its exit code, and nothing from the network."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.segmentors.hugging_face.fetching import fetch_model
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.storage.files import read_json, write_json

Saved = Callable[[str], Path]


@pytest.fixture
def model(saved: Saved, tmp_path: Path) -> Path:
    """A model that may be spoilt."""
    return Path(shutil.copytree(saved("segformer"), tmp_path / "model"))


def refused(folder: Path | str, error: type[Exception], *parts: str) -> None:
    with pytest.raises(error) as found:
        load_segmentor(f"hf:{folder}")
    text = str(found.value)
    assert "\n" not in text
    assert all(part in text for part in parts), text


def test_a_model_that_is_not_here(tmp_path: Path) -> None:
    fetch = "`sam2vss checkpoints fetch hf:nobody/nothing` downloads it"
    refused("nobody/nothing", DataError, "nobody/nothing: no folder, and no model", fetch)
    refused(tmp_path / "absent", DataError, "no folder")
    refused("", SettingsError, "hf: needs a folder")
    refused(tmp_path, DataError, "not a usable transformers model")


def test_a_model_of_another_kind(model: Path) -> None:
    config = read_json(model / "config.json")
    kind = "SegformerForImageClassification"
    write_json(model / "config.json", {**config, "architectures": [kind]})
    refused(model, SettingsError, f"holds a {kind}", "EoMT")
    write_json(model / "config.json", {"model_type": "vit", "architectures": ["ViTModel"]})
    refused(model, SettingsError, "holds a ViTModel")


def test_a_missing_processor(model: Path) -> None:
    (model / "preprocessor_config.json").unlink()
    refused(model, DataError, "holds no preprocessor_config.json", "save the model's image proc")


def test_weights_that_are_missing_pickled_or_broken(model: Path) -> None:
    weights = model / "model.safetensors"
    state = load_file(weights)
    key = "decode_head.classifier.weight"
    save_file({k: v for k, v in state.items() if k != key}, weights, {"format": "pt"})
    refused(model, DataError, f"1 weights are missing or of another shape, such as {key}")
    save_file({**state, key: state[key] * torch.nan}, weights, {"format": "pt"})
    refused(model, DataError, f"{key} has values that are not finite")
    weights.write_bytes(b"cut short")
    refused(model, DataError, "not a usable transformers model")
    weights.unlink()
    refused(model, DataError, "holds no weights; give a folder or revision with model.safetensors")
    (model / "pytorch_model.bin").write_bytes(b"")
    refused(model, DataError, "only the pickled pytorch_model.bin, which is never loaded")


def test_maps_are_for_models_with_other_labels(saved: Saved) -> None:
    with pytest.raises(SettingsError, match="is for hf: models, not segformer-micro"):
        load_segmentor("segformer-micro").for_classes(("sky",), "map.json")
    with pytest.raises(SettingsError, match="no class list to map to"):
        load_segmentor(f"hf:{saved('segformer')}").for_classes(None, "map.json")


def test_the_hub_is_asked_by_fetch_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    answer: list[Exception] = []

    def download(name: str, **_rest: object) -> str:
        asked.append(name)
        if answer:
            raise answer[0]
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(DataError, match=r"has no model\.safetensors"):
        fetch_model("owner/name")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert fetch_model("owner/name") == tmp_path
    response: Any = type("Response", (), {"headers": {}, "request": None})()
    for error, said in (
        (GatedRepoError("gated", response=response), "is gated; accept its terms"),
        (RepositoryNotFoundError("none", response=response), "no such model on the hub"),
        (OSError("disk\nfull"), r"cannot be fetched \(disk\)"),
    ):
        answer[:] = [error]
        with pytest.raises(DataError, match=f"hf:owner/name: {said}"):
            fetch_model("owner/name")
    assert asked == ["owner/name"] * 5


def test_fetching_offline_says_so() -> None:
    call = ("checkpoints", "fetch", "hf:nobody/nothing", "--offline")
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 3
    assert "hf:nobody/nothing: is not in the cache" in result.output
    assert CliRunner().invoke(app, ["checkpoints", "fetch", "hf:a/b/c", "--offline"]).exit_code == 2
