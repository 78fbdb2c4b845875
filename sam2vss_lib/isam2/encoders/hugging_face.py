"""Any vision encoder of `transformers`, from a folder or from the local Hugging Face cache.

Those of `timm` among them, which transformers wraps where timm is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.isam2.encoders.backbone import IMAGENET, Backbone, as_map, make_backbone
from sam2vss_lib.storage.files import read_json, sha256_file

_DEFAULT_SIDE_PX = 224


def load_transformers(
    name: str, side_px: int | None = None, device: str | torch.device = "cpu"
) -> Backbone:
    """Load a vision model of `transformers`; of models with text too (CLIP), the vision side.

    Args:
        name: a folder with `config.json` and `model.safetensors`, or the name of a model in the
            local Hugging Face cache. Code in it is never executed.
        side_px: input size; by default that of the model's configuration.
        device: where to put the model.

    Raises:
        SettingsError: no name, a model whose output is no map, or a size that it does not take.
        DataError: no such model here, unreadable, or weights that do not fit its configuration.
    """
    from transformers import AutoModel

    if not name:
        raise SettingsError("encoder 'transformers:' needs a folder or a model's name after it")
    folder = _transformers_folder(name)
    try:
        model, report = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # configurations and weights of any kind can be wrong in many ways
        raise DataError(f"{folder}: not a transformers model ({first_line(error)})") from None
    network: Any = getattr(model, "vision_model", model)
    # a head for whole images is often left out of published files, and is not used here
    lacking = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if lacking:
        raise DataError(f"{folder}: {len(lacking)} weights are missing, such as {lacking[0]}")
    network = network.float().to(torch.device(device)).eval()
    config = network.config
    own = _single_side(getattr(config, "image_size", None))
    mean, std, said_side = _preprocessing(folder)
    side = side_px or own or said_side or _DEFAULT_SIDE_PX
    # position embeddings of a fixed size must be stretched where the model does not by itself
    options = {"interpolate_pos_encoding": True} if own and side != own else {}
    patch = _single_side(getattr(config, "patch_size", None))
    channels = getattr(config, "num_features", None)  # timm's alone say it

    def forward(x: Tensor) -> Tensor:
        found = network(pixel_values=x, **options).last_hidden_state[0]
        if found.ndim == 3 and channels == found.shape[2] != found.shape[0]:  # channels last
            found = found.permute(2, 0, 1)
        return as_map(found, side, patch)

    weights = {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))}
    identity = ["transformers", weights, sha256_file(folder / "config.json"), [mean, std], side]
    return make_backbone(f"transformers:{name}", identity, side, (mean, std), forward, device)


def _transformers_folder(name: str) -> Path:
    """The folder itself, or that of a model in the local Hugging Face cache."""
    from transformers.utils.hub import cached_file

    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(str(cached_file(name, "config.json", local_files_only=True))).parent
    except OSError:
        raise DataError(
            f"{name}: no folder, and no model of this name in the local Hugging Face cache; "
            "download it there first"
        ) from None


def _preprocessing(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...], int | None]:
    """Mean and deviation of the colours, ImageNet's where the model does not say; timm's side."""
    path = folder / "preprocessor_config.json"
    timm: dict[str, Any] = read_json(folder / "config.json").get("pretrained_cfg", {})
    said = read_json(path) if path.is_file() else {}
    mean = said.get("image_mean") or timm.get("mean", IMAGENET[0])
    std = said.get("image_std") or timm.get("std", IMAGENET[1])
    return tuple(map(float, mean)), tuple(map(float, std)), timm.get("input_size", [None])[-1]


def _single_side(value: Any) -> int | None:
    """A size given as one number or as two equal ones; None for anything else."""
    sides = value if isinstance(value, list | tuple) else [value]
    return int(sides[0]) if all(isinstance(s, int) and s == sides[0] for s in sides) else None
