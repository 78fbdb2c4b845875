"""Any vision encoder of `transformers`, from a folder or from the local Hugging Face cache.

Base models of it, too, at a layer of theirs.

Those of `timm` among them, which transformers wraps where timm is installed.
"""

from collections.abc import Callable
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.isam2.encoders.base import Encoder
from sam2vss_lib.segmentors.hugging_face.loading import load_hugging_face
from sam2vss_lib.segmentors.hugging_face.segmentor import recorded
from sam2vss_lib.storage.files import read_json, sha256_file, sha256_json
from sam2vss_lib.storage.hugging_face import model_folder

#: mean and deviation of the colours (values 0..1) of most published models
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_DEFAULT_SIDE_PX = 224


def load_transformers(
    name: str, side_px: int | None = None, device: str | torch.device = "cpu"
) -> Encoder:
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
    folder = model_folder(name)
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
    device = torch.device(device)
    network, config = network.float().to(device).eval(), network.config
    own = _single_side(getattr(config, "image_size", None))
    mean, std, said_side = preprocessing(folder)
    side = side_px or own or said_side or _DEFAULT_SIDE_PX
    # position embeddings of a fixed size must be stretched where the model does not by itself
    options = {"interpolate_pos_encoding": True} if own and side != own else {}
    patch = _single_side(getattr(config, "patch_size", None))
    channels = getattr(config, "num_features", None)  # timm's alone say it

    def encode(x: Tensor) -> Tensor:
        """(1, 3, S, S) values 0..1 to (D, h, w)."""
        x = (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
        found = network(pixel_values=x, **options).last_hidden_state[0]
        if found.ndim == 3 and channels == found.shape[2] != found.shape[0]:  # channels last
            found = found.permute(2, 0, 1)
        return as_map(found, side, patch)

    weights = {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))}
    identity = ["transformers", weights, sha256_file(folder / "config.json"), [mean, std], side]
    return _of_squares(f"transformers:{name}", identity, encode, side, device)


def load_layer(name: str, layer: str | None, device: str | torch.device = "cpu") -> Encoder:
    """Load a base model of `transformers`, of which one layer's output are the features.

    Args:
        name: as of `load_hugging_face`.
        layer: name of a module of the network, as PyTorch has it, such as `beit.layers.3`.
        device: where to put the model.

    Raises:
        SettingsError: no such layer, one whose output is no map, or a model of another kind.
        DataError: the model cannot be loaded.
    """
    model = load_hugging_face(name, device)
    network, modules = model.network, dict(model.network.named_modules())
    if not layer or layer not in modules:
        parts = ", ".join(part for part, _ in network.named_children())
        raise SettingsError(
            f"encoder hf:{name}: no layer {layer!r}; give @ and the name of a module in {parts}"
        )
    processor, config = model.processor, network.config
    mean, std = processor.image_mean, processor.image_std
    side = _side_of(processor.size)
    patch = _single_side(getattr(config, "patch_size", None))

    def encode(x: Tensor) -> Tensor:
        """(1, 3, S, S) values 0..1 to (D, h, w)."""
        x = (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
        frames = x[None] if network.main_input_name == "pixel_values_videos" else x
        with recorded(modules[layer]) as outputs:
            network(**{network.main_input_name: frames}, **model.inputs)
        found = outputs[-1]
        return as_map((found if isinstance(found, Tensor) else found[0])[0], side, patch)

    sources = [model.checkpoint_sha256, model.made_with["configs_sha256"], layer]
    return _of_squares(f"hf:{name}@{layer}", ["hf", *sources], encode, side, model.device)


def _of_squares(
    name: str, identity: Any, encode: Callable[[Tensor], Tensor], side: int, device: torch.device
) -> Encoder:
    """The encoder that frames are squashed for, not cropped, so that the map covers all of them."""

    def forward(image: NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
        size = (side, side)
        return encode(
            F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
        )

    try:  # width and stride of any architecture
        with torch.inference_mode():
            dim, height = encode(torch.zeros(1, 3, side, side, device=device)).shape[:2]
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise SettingsError(
            f"encoder {name}: cannot encode {side} x {side} px ({first_line(error)})"
        ) from None
    return Encoder(name, sha256_json(identity), dim, round(side / height), forward)


def as_map(features: Tensor, side_px: int, patch_px: int | None) -> Tensor:
    """The features of a square image as a map.

    Args:
        features: (D, h, w), returned as it is, or (N, D) tokens: class and register tokens first,
            then those of the patches, row by row.
        side_px: side of the image.
        patch_px: side of a patch where there is one token a patch.

    Returns:
        (D, h, w).

    Raises:
        SettingsError: neither of the two.
    """
    if features.ndim == 3:
        return features
    if features.ndim != 2:
        raise SettingsError(f"the encoder gives {tuple(features.shape)}: neither map nor tokens")
    side = side_px // patch_px if patch_px else 0
    if not 0 < side * side <= len(features) < 2 * side * side:  # later stages have fewer tokens
        side = isqrt(len(features))
    return features[-side * side :].T.reshape(-1, side, side)


def preprocessing(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...], int | None]:
    """Mean and deviation of the colours, ImageNet's where the model does not say; timm's side."""
    path = folder / "preprocessor_config.json"
    timm: dict[str, Any] = read_json(folder / "config.json").get("pretrained_cfg", {})
    said = read_json(path) if path.is_file() else {}
    mean = said.get("image_mean") or timm.get("mean", _IMAGENET[0])
    std = said.get("image_std") or timm.get("std", _IMAGENET[1])
    return tuple(map(float, mean)), tuple(map(float, std)), timm.get("input_size", [None])[-1]


def _side_of(size: Any) -> int:
    """The side of the square that a processor's size comes closest to."""
    sides = [size[key] for key in ("height", "width", "shortest_edge") if size.get(key)]
    return min(sides, default=_DEFAULT_SIDE_PX)


def _single_side(value: Any) -> int | None:
    """A size given as one number or as two equal ones; None for anything else."""
    sides = value if isinstance(value, list | tuple) else [value]
    return int(sides[0]) if all(isinstance(s, int) and s == sides[0] for s in sides) else None
