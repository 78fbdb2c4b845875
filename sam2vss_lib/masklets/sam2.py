"""Loading SAM2: any official configuration, a file of one's own, or the embedded demo model."""

from __future__ import annotations

import os
import pickle
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file
from tqdm import tqdm

from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.files import sha256_file

DEMO = "demo"
_DEMO_FOLDER = Path(__file__).parent / "demo"
#: what sam2's own video builder sets for official models, hole filling aside (see settings.py)
_STOCK_OVERRIDES: dict[str, Any] = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
    "fill_hole_area": 0,
}


@dataclass(frozen=True)
class Sam2Model:
    """A SAM2 model ready to use.

    Attributes:
        name: checkpoint name or file name.
        predictor: a stock `SAM2VideoPredictor` in evaluation mode; it is also the `SAM2Base`
            that the image side of sam2 takes.
        checkpoint_sha256: hash of the weights file.
        device: where the model is.
    """

    name: str
    predictor: Any
    checkpoint_sha256: str
    device: torch.device

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Context in which the model runs with `precision` ("float32" or "bfloat16")."""
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def checkpoint_folder() -> Path:
    """Where official checkpoints are looked for: $SAM2VSS_CHECKPOINTS or the user's cache."""
    default = Path.home() / ".cache" / "sam2vss" / "checkpoints"
    return Path(os.environ.get("SAM2VSS_CHECKPOINTS", default))


def build_model(config: DictConfig) -> Any:
    """Instantiate a SAM2 configuration without touching Hydra's global state.

    Args:
        config: contents of a sam2 YAML, with or without its outer `model` key.

    Returns:
        A `SAM2VideoPredictor` on the CPU, in training mode, with random weights.
    """
    node = cast(DictConfig, config.get("model", config))
    node["_target_"] = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    return instantiate(node, _recursive_=True)


def demo_config() -> DictConfig:
    """The demo model's configuration."""
    return cast(DictConfig, OmegaConf.load(_DEMO_FOLDER / "sam2_micro.yaml"))


def load_sam2(
    checkpoint: str | Path, *, device: str | torch.device = "cpu", config: str | None = None
) -> Sam2Model:
    """Load a SAM2 model.

    Args:
        checkpoint: `demo`, the name of an official checkpoint (`sam2.1_hiera_large`, ...; see
            `data_manifests/checkpoints.yaml`), or a path to a `.pt` or `.safetensors` file.
        device: where to put the model.
        config: a YAML file or a configuration of the sam2 package
            (`configs/sam2.1/sam2.1_hiera_t.yaml`); needed only for files with unofficial names.

    Raises:
        SettingsError: an unknown checkpoint name or configuration.
        DataError: the file is missing, unreadable, or does not fit the configuration.
    """
    path, source, official = _locate(str(checkpoint), config)
    node = cast(DictConfig, OmegaConf.load(source))
    if official:
        node = cast(DictConfig, OmegaConf.merge(node, {"model": _STOCK_OVERRIDES}))
    model = build_model(node)
    state = _read_weights(path)
    wrong = model.load_state_dict(state, strict=False)
    if wrong.missing_keys or wrong.unexpected_keys:
        example = [*wrong.missing_keys, *wrong.unexpected_keys][0]
        raise DataError(
            f"{path}: weights do not fit {source.name}: {len(wrong.missing_keys)} missing and "
            f"{len(wrong.unexpected_keys)} unexpected, such as {example}; pass the right --config"
        )
    device = torch.device(device)
    name = str(checkpoint) if official or checkpoint == DEMO else path.name
    return Sam2Model(name, model.float().to(device).eval(), sha256_file(path), device)


def _locate(checkpoint: str, config: str | None) -> tuple[Path, Path, bool]:
    """Weights file, configuration file, and whether the configuration is an official one."""
    if checkpoint == DEMO:
        return _DEMO_FOLDER / "sam2_micro.safetensors", _DEMO_FOLDER / "sam2_micro.yaml", False
    manifest = load_checkpoints_manifest()
    if checkpoint in manifest:
        entry = manifest[checkpoint]
        path = checkpoint_folder() / entry.file
        hint = f"; get it from {entry.url} or set SAM2VSS_CHECKPOINTS to its folder"
    elif Path(checkpoint).suffix in {".pt", ".pth", ".safetensors"}:
        path, hint = Path(checkpoint), ""
        entry = next((e for e in manifest.values() if e.file == path.name), None)
    else:
        known = ", ".join(manifest)
        raise SettingsError(f"unknown checkpoint {checkpoint!r}: give a path or one of {known}")
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint file{hint}")
    if config is None and entry is None:
        raise SettingsError(
            f"{path}: not the name of an official checkpoint, so say its configuration with "
            "--config (a YAML file or configs/sam2.1/sam2.1_hiera_t.yaml and the like)"
        )
    wanted = config if config is not None else cast(Any, entry).config
    if Path(wanted).is_file():
        return path, Path(wanted), False
    packaged = Path(str(resources.files("sam2"))) / wanted
    if not packaged.is_file():
        raise SettingsError(f"unknown configuration {wanted!r}: no such file, none in sam2 either")
    return path, packaged, True


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """State dict of a checkpoint; nothing in the file is executed."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a readable checkpoint ({reason})") from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("model"), dict):
        raise DataError(f"{path}: holds no 'model' state dict as SAM2 checkpoints do")
    return cast(dict[str, torch.Tensor], loaded["model"])


def quiet_sam2() -> ExitStack:
    """Context that silences the progress bars inside sam2."""
    stack = ExitStack()
    for module in ("sam2.sam2_video_predictor", "sam2.utils.misc"):
        stack.enter_context(mock.patch(f"{module}.tqdm", partial(tqdm, disable=True)))
    return stack
