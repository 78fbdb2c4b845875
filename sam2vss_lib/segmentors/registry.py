"""The base models by name: `NAME` or `NAME:CHECKPOINT`."""

from pathlib import Path
from typing import Any

import torch

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.hugging_face.loading import load_hugging_face
from sam2vss_lib.segmentors.mit import MIT_ARCHITECTURES
from sam2vss_lib.segmentors.segformer.segformer import load_segformer
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.segmentors.temporal.architectures import (
    PUBLISHED_TEMPORAL,
    TemporalArchitecture,
    load_temporal,
)
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.validation import validated

_DEMO_FOLDER = Path(__file__).parent / "demo"
#: the embedded models, trained on the generated data set (see demo/MODEL_CARD.md)
DEMO_MODELS: tuple[str, ...] = tuple(
    sorted(path.stem.replace("_", "-") for path in _DEMO_FOLDER.glob("*.json"))
)
_SEGFORMERS = {f"segformer-{encoder}": fields for encoder, fields in MIT_ARCHITECTURES.items()}
_HUGGING_FACE = "hf"


def segmentor_names() -> tuple[str, ...]:
    """The names `load_segmentor` knows."""
    return (*DEMO_MODELS, *_SEGFORMERS, *PUBLISHED_TEMPORAL, _HUGGING_FACE)


def load_segmentor(
    spec: str, device: str | torch.device = "cpu", options: InferenceOptions | None = None
) -> Segmentor:
    """Load a base model.

    Args:
        spec: `NAME` for an embedded model, else `NAME:CHECKPOINT`, where the checkpoint is a file
            in the published (mmsegmentation) layout or, for a SegFormer, a Hugging Face folder or
            a file in its layout; it may also replace the weights of an embedded model. `hf:NAME`
            is any model as of `load_hugging_face`.
        device: where to put the model.
        options: how to run it; by default in float32.

    Raises:
        SettingsError: the name is unknown, it needs a checkpoint and has none, or the options are
            not for this model.
        DataError: the weights are missing, not readable, or do not fit the model.
    """
    name, colon, checkpoint = spec.partition(":")
    if name == _HUGGING_FACE and colon:
        return load_hugging_face(checkpoint, device, options)
    if name not in segmentor_names():
        raise SettingsError(f"unknown model {name!r}: known are {', '.join(segmentor_names())}")
    if not checkpoint and name not in DEMO_MODELS:
        raise SettingsError(f"model {name} has no embedded weights: pass {name}:CHECKPOINT")
    path = Path(checkpoint) if checkpoint else demo_file(name, ".safetensors")
    if name in PUBLISHED_TEMPORAL:
        return load_temporal(name, PUBLISHED_TEMPORAL[name], path, device, options)
    architecture = _SEGFORMERS.get(name) or demo_architecture(name)
    if "head" in architecture:
        temporal = embedded_temporal(name)
        shared = temporal.encoder_of and demo_file(temporal.encoder_of, ".safetensors")
        return load_temporal(name, temporal, path, device, options, encoder_weights=shared or None)
    return load_segformer(name, architecture, path, device, options)


def demo_file(name: str, suffix: str) -> Path:
    """Path of an embedded model's file, such as its `.json` or `.safetensors`."""
    return _DEMO_FOLDER / f"{name.replace('-', '_')}{suffix}"


def demo_architecture(name: str) -> dict[str, Any]:
    """An embedded model's `TemporalArchitecture`; of a SegFormer, fields of `SegformerConfig`."""
    return read_json(demo_file(name, ".json"))


def embedded_temporal(name: str) -> TemporalArchitecture:
    """The architecture of an embedded temporal model, with that of the encoder it shares.

    Raises:
        SettingsError: its file holds something else.
    """
    fields = demo_architecture(name)
    temporal = validated(TemporalArchitecture, fields, f"architecture of {name}: field")
    if temporal.encoder_of is None:
        return temporal
    return temporal.model_copy(update={"encoder": demo_architecture(temporal.encoder_of)})
