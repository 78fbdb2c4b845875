"""Any vision encoder of `timm`, which is not among this project's pinned packages."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.isam2.encoders.backbone import Backbone, as_map, make_backbone
from sam2vss_lib.storage.files import sha256_file


def load_timm(
    architecture: str,
    weights: str,
    side_px: int | None = None,
    device: str | torch.device = "cpu",
) -> Backbone:
    """Load a model of `timm`.

    Args:
        architecture: its name in timm.
        weights: a `.safetensors` file.
        side_px: input size; by default that of timm's entry.
        device: where to put the model.

    Raises:
        SettingsError: timm is not installed, the name is unknown, or the output is no map.
        DataError: the weights are missing, unreadable, or do not fit.
    """
    try:
        timm: Any = import_module("timm")
    except ImportError:
        raise SettingsError(
            f"encoder timm:{architecture}: the package timm is not installed; "
            "pip install timm, or use a transformers: encoder"
        ) from None
    path = Path(weights)
    if path.suffix != ".safetensors" or not path.is_file():
        raise DataError(f"{path}: no .safetensors file; give timm:{architecture or 'NAME'}:FILE")
    size = {} if side_px is None else {"img_size": side_px}
    try:
        try:
            network: Any = timm.create_model(architecture, pretrained=False, num_classes=0, **size)
        except TypeError:  # convolutional models take any size without being told
            network = timm.create_model(architecture, pretrained=False, num_classes=0)
    except Exception as error:  # timm has many ways of not knowing a model
        raise SettingsError(f"encoder timm:{architecture}: {first_line(error)}") from None
    _load_timm_weights(network, path)
    network = network.float().to(torch.device(device)).eval()
    entry = timm.data.resolve_model_data_config(network)
    side = side_px or int(entry["input_size"][-1])

    def forward(x: Tensor) -> Tensor:
        found = network.forward_features(x)[0]
        if found.ndim == 3 and found.shape[0] != network.num_features:  # channels last
            found = found.permute(2, 0, 1)
        return as_map(found, side, None)

    normalisation = (tuple(entry["mean"]), tuple(entry["std"]))
    identity = ["timm", architecture, sha256_file(path), normalisation, side]
    return make_backbone(f"timm:{architecture}", identity, side, normalisation, forward, device)


def _load_timm_weights(network: Any, path: Path) -> None:
    """Load weights; only those of a classifier may be too many."""
    try:
        state = load_file(path)
    except Exception as error:  # readers fed arbitrary bytes raise many things
        raise DataError(f"{path}: not readable as safetensors ({first_line(error)})") from None
    wanted = network.state_dict()
    wrong = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    if wrong:
        raise DataError(f"{path}: {len(wrong)} weights missing or misshapen, such as {wrong[0]}")
    network.load_state_dict({key: state[key] for key in wanted})
