"""SAM2 in both layouts: every tensor and every field has its line, and all go there and back."""

from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from transformers import PreTrainedConfig, Sam2VideoConfig, Sam2VideoModel

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.hugging_face import layout
from sam2vss_lib.masklets.hugging_face.layout import (
    config_of_sam2,
    config_of_transformers,
    weights_of_sam2,
    weights_of_transformers,
)
from sam2vss_lib.masklets.sam2 import Sam2Model, build_model, demo_config

OFFICIAL = [f"sam2.1/sam2.1_hiera_{size}.yaml" for size in ("t", "s", "b+", "l")]
#: what sam2's video builder adds to its configurations
BUILT_WITH = {
    "binarize_mask_from_pts_for_mem_enc": True,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
}
TABLE = Path(str(resources.files("sam2vss_lib.masklets.hugging_face"))) / "sam2_video.yaml"


def official(name: str) -> DictConfig:
    node = OmegaConf.load(Path(str(resources.files("sam2"))) / "configs" / name)
    return cast(DictConfig, OmegaConf.merge(node.model, BUILT_WITH))


def shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def leaves(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Where models have shapes and no values; Hiera reads some numbers of its own there."""
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    return torch.device("meta")


@pytest.mark.parametrize("name", [*OFFICIAL, "sam2/sam2_hiera_t.yaml"])
def test_official_architectures(name: str, meta: torch.device) -> None:
    node = official(name)
    fields = config_of_transformers(node)
    config = Sam2VideoConfig(**fields)
    with meta:
        ours, theirs = build_model(node).state_dict(), Sam2VideoModel(config).state_dict()
        again = build_model(config_of_sam2(config.to_dict())).state_dict()
    assert shapes(weights_of_transformers(ours)) == shapes(theirs)
    assert shapes(again) == shapes(ours)
    back = dict(leaves(OmegaConf.to_container(config_of_sam2(config.to_dict()))))
    said = dict(leaves(OmegaConf.to_container(node)))
    del said["_target_"]
    assert {key: back[key] for key in said} == said


def test_there_and_back(demo_model: Sam2Model) -> None:
    state = demo_model.predictor.state_dict()
    there = weights_of_transformers(state)
    assert shapes(there) != shapes(state)
    back = weights_of_sam2(there)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    fields = config_of_transformers(demo_config())
    back = dict(leaves(OmegaConf.to_container(config_of_sam2(fields))))
    said = dict(leaves(OmegaConf.to_container(demo_config())))
    assert {key: back[key] for key in said} == said


def test_every_field_and_every_line_is_accounted_for(meta: torch.device) -> None:
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    config = Sam2VideoConfig()
    everywhere = {*PreTrainedConfig().to_dict(), "model_type"}
    fields = {name for name, _ in leaves(config.to_dict())}
    fields = {name for name in fields if not everywhere & {*name.split(".")}}
    mapped = {name for name, _ in leaves(config_of_transformers(official(OFFICIAL[0])))}
    mapped = {name for name in mapped if not everywhere & {*name.split(".")}}
    assert fields == mapped | {*table["unused"]}
    assert not mapped & {*table["unused"]}
    with meta:
        names = [*build_model(official(OFFICIAL[0])).state_dict()]
    for line in table["weights"]:
        assert any(_fits(line, name) for name in names), line


def _fits(line: str, name: str) -> bool:
    try:
        return bool(layout._renamed(name, {line: "x"}))  # pyright: ignore[reportPrivateUsage]
    except DataError:
        return False


def test_what_is_not_sam2_is_refused(demo_model: Sam2Model) -> None:
    state = weights_of_transformers(demo_model.predictor.state_dict())
    with pytest.raises(DataError, match=r"tensor 'head\.weight' is none of SAM2's"):
        weights_of_sam2({**state, "head.weight": torch.zeros(1)})
    copy = "shared_image_embedding.positional_embedding"
    with pytest.raises(DataError, match=f"and {copy} differ; sam2 has one tensor for both"):
        weights_of_sam2({**state, copy: state[copy] + 1})
    with pytest.raises(DataError, match=f"no tensor '{copy}'"):
        weights_of_sam2({name: value for name, value in state.items() if name != copy})
    config = Sam2VideoConfig(mask_decoder_config={"mlp_dim": 64}).to_dict()
    with pytest.raises(SettingsError, match=r"mlp_dim is 64, where sam2 knows 2048 alone; use eng"):
        config_of_sam2(config)
