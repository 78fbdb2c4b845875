"""SAM2 as the package sam2 lays it out, and as `Sam2VideoModel` does; see `sam2_video.yaml`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.hugging_face.networks import read_network

_TABLE = Path(__file__).with_name("sam2_video.yaml")
_FIELD = re.compile(r"\$\{(.+)\}")


class Sam2Parts(NamedTuple):
    """What sam2's predictor is built of."""

    name: str
    folder: Path
    config: DictConfig
    state: dict[str, Tensor]
    checkpoint_sha256: str


def sam2_of_transformers(checkpoint: str) -> Sam2Parts:
    """Read a `Sam2VideoModel` of transformers for sam2's predictor; see `read_network`.

    Raises:
        DataError: as of `read_network`, or a tensor is none of SAM2's.
        SettingsError: likewise, or a field of its configuration has no option in sam2.
    """
    found = read_network("Sam2VideoModel", checkpoint)
    try:
        config = config_of_sam2(found.network.config.to_dict())
        state = weights_of_sam2(found.network.state_dict())
    except (DataError, SettingsError) as error:
        raise type(error)(f"{found.folder}: {error}") from None
    return Sam2Parts(found.name, found.folder, config, state, found.checkpoint_sha256)


def weights_of_sam2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of sam2's predictor for that of a `Sam2VideoModel`.

    Raises:
        DataError: a name is in no line of the table, or copies of a tensor differ.
    """
    table, found, rest = _table(), dict[str, Tensor](), dict(state)
    for name, copies in table["copied"].items():
        first, *others = [_taken(rest, copy) for copy in copies]
        if not all(torch.equal(first, other) for other in others):
            raise DataError(f"{' and '.join(copies)} differ; sam2 has one tensor for both")
        found[name] = first
    for pattern, name in table["stacked"].items():
        rows = _taken(rest, name).split(1)
        found |= {pattern.replace("{}", str(i)): row for i, row in enumerate(rows)}
    lines = {theirs: ours for ours, theirs in table["weights"].items()}
    return found | {_renamed(name, lines): value for name, value in rest.items()}


def weights_of_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a `Sam2VideoModel` for that of sam2's predictor; see `weights_of_sam2`."""
    table, found, rest = _table(), dict[str, Tensor](), dict(state)
    for name, copies in table["copied"].items():
        found |= dict.fromkeys(copies, _taken(rest, name))
    for pattern, name in table["stacked"].items():
        matching = re.compile(re.escape(pattern).replace(r"\{\}", r"(\d+)"))
        numbers = sorted(int(m[1]) for key in rest if (m := matching.fullmatch(key)))
        rows = [_taken(rest, pattern.replace("{}", str(i))) for i in numbers]
        found[name] = torch.cat(rows)
    return found | {_renamed(name, table["weights"]): value for name, value in rest.items()}


def config_of_sam2(config: Mapping[str, Any]) -> DictConfig:
    """The configuration of sam2's predictor for that of a `Sam2VideoModel`, as a dict.

    Raises:
        SettingsError: a field has a value that sam2 has no option for.
    """
    wanted = OmegaConf.to_container(OmegaConf.merge(_table()["fixed"], _derived(config)))
    for name, value in _leaves(wanted):
        if (given := OmegaConf.select(_node(config), name)) != value:
            raise SettingsError(
                f"{name} is {given}, where sam2 knows {value} alone; use engine: "
                "transformers:Sam2VideoModel"
            )
    merged = _node({**config, "sam2": _table()["sam2"]})
    return _node(OmegaConf.to_container(merged.sam2, resolve=True))


def config_of_transformers(node: DictConfig) -> dict[str, Any]:
    """Fields of a `Sam2VideoConfig` for a configuration of sam2, without its outer `model` key."""
    found = _node(_table()["fixed"])
    for name, value in _leaves(_table()["sam2"]):
        if (field := _FIELD.fullmatch(str(value))) and OmegaConf.select(found, field[1]) is None:
            OmegaConf.update(found, field[1], _option(node, name, field[1]))
    plain = cast(dict[str, Any], OmegaConf.to_container(found))
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.merge(found, _derived(plain))))


def _derived(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `Sam2VideoConfig` that follow from others in sam2."""
    vision, side = config["vision_config"], config["image_size"]
    backbone, width = vision["backbone_config"], vision["fpn_hidden_size"]
    double = [2**i for i in range(len(backbone["blocks_per_stage"]))]
    heads = backbone["num_attention_heads"]
    return {
        "vision_config": {
            "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
            "backbone_config": {
                "embed_dim_per_stage": [backbone["hidden_size"] * n for n in double],
                "num_attention_heads_per_stage": [heads * n for n in double],
            },
        },
        "prompt_encoder_config": {"hidden_size": width, "image_size": side},
        "mask_decoder_config": {"hidden_size": width},
        "memory_fuser_intermediate_dim": 4 * config["memory_fuser_embed_dim"],
    }


@cache
def _table() -> dict[str, Any]:
    # ${...} are left as they stand
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(_TABLE)))


def _node(config: Any) -> DictConfig:
    return cast(DictConfig, OmegaConf.create(config))


def _leaves(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Names, with dots between levels, and values; a list is a value."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _option(node: DictConfig, name: str, field: str) -> Any:
    """An option of sam2, or what holds where it is left out."""
    value = OmegaConf.select(node, name)
    if value is None and field in _table()["absent"]:
        return _table()["absent"][field]
    if value is None:
        above, _, last = name.rpartition(".")
        parent = OmegaConf.select(node, above) if above else node
        target = parent.get("_target_", _table()["sam2"]["_target_"])
        classes = get_class(target).__mro__  # one may hand all on to the next
        known = [inspect.signature(one).parameters.get(last) for one in classes]
        value = next(parameter.default for parameter in known if parameter is not None)
        return list(value) if isinstance(value, tuple) else value
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _taken(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise DataError(f"no tensor {name!r}")
    return state.pop(name)


def _renamed(name: str, lines: Mapping[str, str]) -> str:
    for pattern, other in lines.items():
        matching = re.escape(pattern).replace(r"\{\}", r"(\d+)")
        if found := re.fullmatch(rf"{matching}((?:\.\w+)*)", name):
            *numbers, rest = found.groups()
            return other.format(*numbers) + rest
    raise DataError(f"tensor {name!r} is none of SAM2's")
