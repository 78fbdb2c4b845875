"""Names and checkpoints: what is found, and what the errors say."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.segmentors.registry import load_segmentor, segmentor_names
from sam2vss_lib.segmentors.segformer.segformer import build_segformer


@pytest.fixture
def mit_b0(tmp_path: Path) -> Path:
    """The defaults of `SegformerConfig` are those of B0."""
    path = tmp_path / "b0.safetensors"
    save_file(build_segformer({"num_labels": 7}).state_dict(), path)
    return path


def test_a_published_architecture_with_a_checkpoint(mit_b0: Path) -> None:
    segmentor = load_segmentor(f"segformer-mit_b0:{mit_b0}")
    assert (segmentor.name, segmentor.num_classes) == ("segformer-mit_b0", 7)


def test_weights_of_another_model(mit_b0: Path) -> None:
    with pytest.raises(DataError, match=r"do not fit segformer-mit_b2: [1-9]\d* missing \(segf"):
        load_segmentor(f"segformer-mit_b2:{mit_b0}")
    with pytest.raises(DataError, match="weights do not fit segformer-micro: "):
        load_segmentor(f"segformer-micro:{mit_b0}")


def test_weights_that_are_no_segformer(tmp_path: Path, mit_b0: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(DataError, match=r"other.safetensors: no decode_head.classifier.weight"):
        load_segmentor(f"segformer-mit_b0:{path}")
    save_file({}, path)
    with pytest.raises(DataError, match=r"other.safetensors: holds something else than named"):
        load_segmentor(f"segformer-mit_b0:{path}")


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(SettingsError, match="unknown model 'segformer': known are ") as error:
        load_segmentor("segformer")
    assert all(name in str(error.value) for name in segmentor_names())


@pytest.mark.parametrize("spec", ["segformer-mit_b1", "segformer-mit_b1:"])
def test_a_published_architecture_needs_a_checkpoint(spec: str) -> None:
    with pytest.raises(SettingsError, match="pass segformer-mit_b1:CHECKPOINT"):
        load_segmentor(spec)


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such checkpoint"):
        load_segmentor(f"segformer-mit_b1:{tmp_path / 'absent'}")
