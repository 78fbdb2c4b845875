"""What is refused: one line, its exit code, and nothing from the network; and a whole SAM 3."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.hugging_face.video_model import (
    load_edgetam_video,
    load_sam2_video,
    load_sam3_tracker_video,
)
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.storage.files import read_json, write_json
from tests.masklets.hugging_face.conftest import sam3_tracker_video, whole_sam3

Saved = Callable[[str], Path]


@pytest.fixture
def model(saved: Saved, tmp_path: Path) -> Path:
    """A SAM2 that may be spoilt."""
    return Path(shutil.copytree(saved("Sam2VideoModel"), tmp_path / "model"))


def refused(load: Any, checkpoint: Any, error: type[Exception], *parts: str, **rest: Any) -> None:
    with pytest.raises(error) as found:
        load(str(checkpoint), **rest)
    text = str(found.value)
    assert "\n" not in text
    assert all(part in text for part in parts), text


def test_folders_of_other_classes(saved: Saved) -> None:
    sam2, edge = saved("Sam2VideoModel"), saved("EdgeTamVideoModel")
    said = ("type edgetam_video, not a Sam2VideoModel", "engine: transformers:EdgeTamVideoModel")
    refused(load_sam2_video, edge, SettingsError, *said)
    refused(load_sam2, edge, SettingsError, *said)
    said = ("type sam2_video, not a EdgeTamVideoModel", "engine: transformers:Sam2VideoModel")
    refused(load_edgetam_video, sam2, SettingsError, *said)


def test_a_folder_of_no_video_model(model: Path) -> None:
    write_json(model / "config.json", {"model_type": "vit"})
    said = ("holds a model of type vit, not a Sam3TrackerVideoModel", "give a folder of Sam3Track")
    refused(load_sam3_tracker_video, model, SettingsError, *said)
    (model / "config.json").unlink()
    refused(load_sam2_video, model, DataError, "not a usable transformers model")


def test_checkpoints_of_the_package_sam2(tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    own.touch()
    for checkpoint in ("demo", "sam2.1_hiera_tiny", own):
        said = f"{checkpoint}: a checkpoint of the package sam2, which Sam2VideoModel does not read"
        refused(load_sam2_video, checkpoint, SettingsError, said, "use engine: batched")


def test_models_that_are_not_here() -> None:
    fetch = "`sam2vss checkpoints fetch hf:nobody/nothing` downloads it"
    for load, name in (
        (load_sam2_video, "nobody/nothing"),
        (load_sam3_tracker_video, "hf:nobody/nothing"),
        (load_sam2, "hf:nobody/nothing"),
    ):
        refused(load, name, DataError, "nobody/nothing: no folder, and no model", fetch)
    refused(load_sam2, "nobody/nothing", SettingsError, "or a folder or hf:NAME of transformers")


def test_configurations_are_not_asked_for(model: Path) -> None:
    for load in (load_sam2_video, load_sam2):
        refused(load, model, SettingsError, "--config a.yaml: not for ", config="a.yaml")


def test_a_processor_that_is_missing_or_of_another_size(model: Path) -> None:
    file = model / "processor_config.json"
    config = read_json(file)
    write_json(file, {**config, "target_size": 128})
    said = "its processor is for frames of 64/128 px, its network for 64 px; save the processor"
    refused(load_sam2_video, model, DataError, said)
    file.unlink()
    refused(load_sam2_video, model, DataError, "holds no preprocessor_config.json")
    assert load_sam2(model).predictor.image_size == 64  # which resizes by itself


def test_what_our_engines_have_no_option_for(model: Path) -> None:
    config = read_json(model / "config.json")
    config["vision_config"]["backbone_config"]["hidden_act"] = "relu"
    write_json(model / "config.json", config)
    said = ("hidden_act is relu, where sam2 knows gelu alone", "transformers:Sam2VideoModel")
    refused(load_sam2, model, SettingsError, *said)
    assert load_sam2_video(str(model)).side_px == 64


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
def test_a_package_that_is_missing(saved: Saved, tmp_path: Path) -> None:
    """EdgeTAM as it is published."""
    folder = Path(shutil.copytree(saved("EdgeTamVideoModel"), tmp_path / "edge"))
    config = read_json(folder / "config.json")
    backbone = {"model_type": "timm_wrapper", "architecture": "repvit_m1"}
    config["vision_config"] = {"model_type": "edgetam_vision_model", "backbone_config": backbone}
    write_json(folder / "config.json", config)
    refused(load_edgetam_video, folder, SettingsError, "needs a package that is not inst", "timm")


def test_approximations_and_fills_are_of_the_batched_engine(saved: Saved, tiny_vspw: Path) -> None:
    engine = "transformers:Sam2VideoModel"
    with pytest.raises(ValueError, match=f"engine {engine} has no such approximation"):
        MaskletSettings(engine=engine, merge_iou=0.7)
    out = tiny_vspw.parent / "out"
    call = ["masklets", f"--dataset={tiny_vspw}", f"--engine={engine}", "--device=cpu"]
    call += [f"--checkpoint={saved('Sam2VideoModel')}", f"--out={out}", f"--fill={tiny_vspw}"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2
    assert f"engine {engine}: cannot prompt where nothing covers" in result.stderr
    assert not out.exists()


def test_the_tracker_of_a_whole_sam3(tmp_path: Path) -> None:
    """As Meta publishes it; the detector is left where it is."""
    hf.logging.disable_progress_bar()
    whole = whole_sam3()
    whole.save_pretrained(tmp_path)
    sam3_tracker_video()[1].save_pretrained(tmp_path)
    found = load_sam3_tracker_video(str(tmp_path)).network.state_dict()
    tracker = whole.tracker_model.state_dict()
    read = {name: value for name, value in tracker.items() if name in found}
    assert len(read) > 100
    assert all(torch.equal(found[name], value) for name, value in read.items())
    backbone = whole.detector_model.vision_encoder.backbone.state_dict()
    for name, value in backbone.items():
        assert torch.equal(found[f"vision_encoder.backbone.{name}"], value)
