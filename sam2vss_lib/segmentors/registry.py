"""The base models by name: `NAME` or `NAME:CHECKPOINT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.files import read_json
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.segformer import load_segformer

_DEMO_FOLDER = Path(__file__).parent / "demo"
#: the embedded models, trained on the generated data set (see demo/MODEL_CARD.md)
DEMO_MODELS: tuple[str, ...] = ("segformer-micro", "segformer-mini")
_WIDE = [64, 128, 320, 512]
#: the Mix Transformer encoders; what they do not name has the defaults of `SegformerConfig`
_ENCODERS: dict[str, dict[str, Any]] = {
    "segformer-mit_b0": {"hidden_sizes": [32, 64, 160, 256], "depths": [2, 2, 2, 2]},
    "segformer-mit_b1": {"hidden_sizes": _WIDE, "depths": [2, 2, 2, 2]},
    "segformer-mit_b2": {"hidden_sizes": _WIDE, "depths": [3, 4, 6, 3]},
    "segformer-mit_b3": {"hidden_sizes": _WIDE, "depths": [3, 4, 18, 3]},
    "segformer-mit_b4": {"hidden_sizes": _WIDE, "depths": [3, 8, 27, 3]},
    "segformer-mit_b5": {"hidden_sizes": _WIDE, "depths": [3, 6, 40, 3]},
}


def segmentor_names() -> tuple[str, ...]:
    """The names `load_segmentor` knows."""
    return (*DEMO_MODELS, *_ENCODERS)


def load_segmentor(spec: str, device: str | torch.device = "cpu") -> Segmentor:
    """Load a base model.

    Args:
        spec: `NAME` for an embedded model, else `NAME:CHECKPOINT`, where the checkpoint is a
            Hugging Face folder or a `.safetensors` file in its layout; it may also replace the
            weights of an embedded model.
        device: where to put the model.

    Raises:
        SettingsError: the name is unknown, or it needs a checkpoint and has none.
        DataError: the weights are missing, not readable, or do not fit the model.
    """
    name, _, checkpoint = spec.partition(":")
    if name not in segmentor_names():
        raise SettingsError(f"unknown model {name!r}: known are {', '.join(segmentor_names())}")
    if name in DEMO_MODELS:
        architecture = demo_architecture(name)
        path = Path(checkpoint) if checkpoint else demo_file(name, ".safetensors")
    elif checkpoint:
        architecture, path = _ENCODERS[name], Path(checkpoint)
    else:
        raise SettingsError(f"model {name} has no embedded weights: pass {name}:CHECKPOINT")
    return load_segformer(name, architecture, path, device)


def demo_file(name: str, suffix: str) -> Path:
    """Path of an embedded model's file, such as its `.json` or `.safetensors`."""
    return _DEMO_FOLDER / f"{name.replace('-', '_')}{suffix}"


def demo_architecture(name: str) -> dict[str, Any]:
    """An embedded model's fields of `transformers.SegformerConfig`."""
    return read_json(demo_file(name, ".json"))
