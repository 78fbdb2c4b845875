"""Loading SAM2: official names and configurations, and one clear line for what cannot be loaded."""

import os
import pickle
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file
from sam2.build_sam import build_sam2_video_predictor

from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
from sam2vss_lib.errors import DataError, Sam2VssError, SettingsError
from sam2vss_lib.masklets.checkpoints import checkpoint_folder
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.sam2 import Sam2Model, build_model, load_sam2
from sam2vss_lib.storage.files import sha256_file

TINY_CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"
DEMO = Path(str(resources.files("sam2vss_lib.masklets"))) / "demo"
DEMO_CONFIG = str(DEMO / "sam2_micro.yaml")


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official SAM2.1 tiny with random weights, under the official file name."""
    source = Path(str(resources.files("sam2"))) / TINY_CONFIG
    torch.manual_seed(0)
    model = build_model(OmegaConf.load(source))  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("checkpoints") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": model.state_dict()}, path)
    return path


def refused(kind: type[Sam2VssError], *words: str, checkpoint: Any, **arguments: Any) -> None:
    """Loading fails with one line that says `words`."""
    with pytest.raises(kind) as caught:
        load_sam2(checkpoint, **arguments)
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_demo_model(demo_model: Sam2Model) -> None:
    assert demo_model.name == "demo"
    assert demo_model.checkpoint_sha256 == sha256_file(DEMO / "sam2_micro.safetensors")
    assert not demo_model.predictor.training
    assert demo_model.predictor.fill_hole_area == 0
    assert (DEMO / "sam2_micro.safetensors").stat().st_size <= 10e6


def test_file_of_ones_own_with_its_configuration(demo_model: Sam2Model, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save({"model": demo_model.predictor.state_dict()}, path)
    model = load_sam2(path, config=DEMO_CONFIG)
    assert model.name == "mine.pt"
    assert model.config_sha256 == demo_model.config_sha256
    assert model.checkpoint_sha256 == sha256_file(path) != demo_model.checkpoint_sha256
    state = demo_model.predictor.state_dict()
    loaded = model.predictor.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_configuration_is_part_of_the_identity(demo_model: Sam2Model, tmp_path: Path) -> None:
    config: Any = OmegaConf.load(DEMO_CONFIG)
    config["max_cond_frames_in_attn"], config["fill_hole_area"] = 2, 8
    OmegaConf.save(OmegaConf.create({"model": config}), tmp_path / "other.yaml")
    weights = DEMO / "sam2_micro.safetensors"
    model = load_sam2(weights, config=str(tmp_path / "other.yaml"))
    assert model.checkpoint_sha256 == demo_model.checkpoint_sha256
    assert model.config_sha256 != demo_model.config_sha256
    assert model.predictor.max_cond_frames_in_attn == 2
    assert model.predictor.fill_hole_area == 0


def test_official_name_and_file_name(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    by_path = load_sam2(tiny_file)
    assert "not the published file of this name" in caplog.text
    monkeypatch.setenv("SAM2VSS_CHECKPOINTS", str(tiny_file.parent))
    by_name = load_sam2("sam2.1_hiera_tiny")
    assert by_path.name == by_name.name == "sam2.1_hiera_tiny"
    assert by_path.config_sha256 == by_name.config_sha256
    assert by_path.predictor.image_size == 1024
    decoder = by_path.predictor.sam_mask_decoder
    assert decoder.dynamic_multimask_via_stability
    assert decoder.dynamic_multimask_stability_delta == 0.05
    assert decoder.dynamic_multimask_stability_thresh == 0.98
    assert by_path.predictor.binarize_mask_from_pts_for_mem_enc
    assert by_path.predictor.fill_hole_area == 0


def test_folder_in_the_way_does_not_shadow_the_packaged_configuration(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / TINY_CONFIG).parent.mkdir(parents=True)
    (tmp_path / TINY_CONFIG).write_text("model: {}")
    monkeypatch.chdir(tmp_path)
    assert load_sam2(tiny_file).predictor.binarize_mask_from_pts_for_mem_enc


@pytest.mark.slow
def test_same_masks_as_sam2s_own_builder(tiny_file: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [tmp_path / f"{i}.jpg" for i in range(2)]
    for i, path in enumerate(frames):
        image = np.kron(rng.integers(0, 255, (6, 8, 3), np.uint8), np.ones((10, 10, 1), np.uint8))
        Image.fromarray(np.roll(image, 2 * i, axis=1)).save(path)
    mask = np.zeros((60, 80), bool)
    mask[10:40, 10:50] = True
    stock: Any = build_sam2_video_predictor(TINY_CONFIG, str(tiny_file), device="cpu")
    stock.fill_hole_area = 0  # needs the extension that the wheel lacks
    state = stock.init_state(str(tmp_path))
    stock.add_new_mask(state, frame_idx=0, obj_id=1, mask=mask)
    expected = [logits[:, 0] for _, _, logits in stock.propagate_in_video(state)]
    found = list(propagate(load_sam2(tiny_file), frames, mask[None]))
    assert [part.offset for part in found] == [0, 1]
    for part, logits in zip(found, expected, strict=True):
        assert (part.logits > 0).any()
        assert torch.equal(part.logits, logits)


@pytest.mark.parametrize("name", sorted(load_checkpoints_manifest()))
def test_configuration_of_every_known_checkpoint_exists(name: str) -> None:
    config = load_checkpoints_manifest()[name].config
    assert (config is None) == (name == "demo")
    assert config is None or (Path(str(resources.files("sam2"))) / config).is_file()


def test_unknown_name() -> None:
    words = ("'sam3'", "sam2.1_hiera_large", "demo", ".safetensors")
    refused(SettingsError, *words, checkpoint="sam3")


def test_missing_official_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2VSS_CHECKPOINTS", str(tmp_path))
    assert checkpoint_folder() == tmp_path
    path = str(tmp_path / "sam2.1_hiera_large.pt")
    words = (path, "no such", "https://", "SAM2VSS_CHECKPOINTS")
    refused(DataError, *words, checkpoint="sam2.1_hiera_large")


def test_missing_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    refused(DataError, str(path), "no such checkpoint file", checkpoint=path)


def test_file_of_unofficial_name_needs_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.touch()
    refused(SettingsError, str(path), "--config", checkpoint=path)
    refused(SettingsError, "'a.yaml'", "no such file", checkpoint=path, config="a.yaml")


@pytest.mark.parametrize(
    "text", ["model: [", "- 1", "", "a: 1", "_target_: a", "model: {image_size: '${b}'}"]
)
def test_yaml_that_is_no_configuration(tmp_path: Path, text: str) -> None:
    source = tmp_path / "a.yaml"
    source.write_text(text)
    weights = DEMO / "sam2_micro.safetensors"
    words = (str(source), "not a SAM2 configuration")
    refused(SettingsError, *words, checkpoint=weights, config=str(source))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 100, -1000])
def test_truncated_weights(demo_model: Sam2Model, tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".pt":
        torch.save({"model": demo_model.predictor.state_dict()}, path)
    else:
        save_file(demo_model.predictor.state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    words = (str(path), "not a readable checkpoint", "cut short", "download the file again")
    refused(DataError, *words, checkpoint=path, config=DEMO_CONFIG)


class Malicious:
    """Runs a command when unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / "a.pt"
    torch.save({"model": Malicious(proof)}, path)
    refused(DataError, str(path), "more than weights", checkpoint=path, config=DEMO_CONFIG)
    path.write_bytes(pickle.dumps({"model": Malicious(proof)}))
    refused(DataError, str(path), checkpoint=path, config=DEMO_CONFIG)
    assert not proof.exists()
    pickle.loads(path.read_bytes())  # the trap itself works
    assert proof.exists()


@pytest.mark.parametrize("content", [[1], {"state_dict": {}}, {"model": 1}])
def test_file_without_model_weights(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "a.pt"
    torch.save(content, path)
    refused(DataError, str(path), "else than named tensors", checkpoint=path, config=DEMO_CONFIG)


def test_weights_of_another_model(demo_model: Sam2Model, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    state = demo_model.predictor.state_dict()
    name, other, *_ = state

    def refused_with(changed: dict[str, Any], count: int, example: str) -> None:
        torch.save({"model": changed}, path)
        words = (f"{path}: weights do not fit sam2_micro.yaml: {count} tensors", example)
        refused(DataError, *words, "--config", checkpoint=path, config=DEMO_CONFIG)

    refused_with({k: v for k, v in state.items() if k != name}, 1, name)
    refused_with({**state, "extra.weight": state[name]}, 1, "extra.weight")
    refused_with({**state, other: state[other][..., :1]}, 1, other)
    torch.save({"model": {**state, other: 3}}, path)
    words = (f"{path}: holds something else than named tensors, such as '{other}'",)
    refused(DataError, *words, checkpoint=path, config=DEMO_CONFIG)


def test_weights_as_training_loops_save_them(demo_model: Sam2Model, tmp_path: Path) -> None:
    path, state = tmp_path / "a.pt", demo_model.predictor.state_dict()
    optimizer = {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 1e-3}]}
    training = {"optimizer": optimizer, "epoch": 3, "loss": {}, "steps": {"train": 7}}
    parallel = {f"module.{name}": value for name, value in state.items()}
    for content in (state, parallel, {"model": state, **training}, {"model": parallel, **training}):
        torch.save(content, path)
        loaded = load_sam2(path, config=DEMO_CONFIG).predictor.state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in state.items())


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_device_that_is_not_there(device: str) -> None:
    refused(SettingsError, f"device {device}: cannot be used", checkpoint="demo", device=device)
