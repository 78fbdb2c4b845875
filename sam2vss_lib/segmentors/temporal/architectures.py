"""The temporal base models by their parts: which encoder, which head, with which settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import BaseModel, Field, PositiveInt
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.mit import MIT_ARCHITECTURES, MixTransformer
from sam2vss_lib.segmentors.mmseg_names import is_published, temporal_from_published
from sam2vss_lib.segmentors.pixels import InputSize
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.segmentors.temporal import cffm, mrcfa, tv3s
from sam2vss_lib.segmentors.temporal.clip_head import TemporalHead, TemporalNetwork
from sam2vss_lib.segmentors.temporal.focal_attention import FocalGeometry
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor
from sam2vss_lib.segmentors.weights import classifier_of, load_fitting, read_weights, weights_file
from sam2vss_lib.storage.files import sha256_file, sha256_json

_CLASSIFIER = "decode_head.linear_pred.weight"
_ENCODER, _SEGFORMER_ENCODER = "backbone.", "segformer."


class TemporalArchitecture(BaseModel, frozen=True, extra="forbid"):
    """All that a temporal model is, its weights aside; in `demo/` a JSON file beside them."""

    head: Literal["cffm", "mrcfa", "tv3s"]
    encoder: dict[str, Any] = Field(
        default={}, description="fields of a `transformers.SegformerConfig`"
    )
    encoder_of: str | None = Field(
        default=None, description="an embedded SegFormer whose encoder this is, weights included"
    )
    head_settings: dict[str, Any] = Field(
        default={}, description="keyword arguments of the head; `geometry` holds those of CFFM's"
    )
    num_classes: PositiveInt = 124
    input_size: InputSize = "frame"


_HEADS: dict[str, Callable[..., TemporalHead]] = {
    "cffm": lambda geometry=None, **settings: cffm.CffmHead(
        geometry=FocalGeometry(**(geometry or {})), **settings
    ),
    "mrcfa": mrcfa.MrcfaHead,
    "tv3s": tv3s.Tv3sHead,
}
#: the published models, by their names in the registry
PUBLISHED_TEMPORAL: dict[str, TemporalArchitecture] = {
    f"{head}-{encoder}": TemporalArchitecture(
        head=cast(Any, head),
        encoder=MIT_ARCHITECTURES[encoder],
        head_settings=dict(settings),
        input_size="published",
    )
    for head, module in (("cffm", cffm), ("mrcfa", mrcfa), ("tv3s", tv3s))
    for encoder, settings in module.VARIANTS.items()
}


def build_temporal(architecture: TemporalArchitecture) -> TemporalNetwork:
    """Build a network with random weights, in training mode, on the CPU.

    Raises:
        SettingsError: the head does not take these settings.
    """
    backbone = MixTransformer(architecture.encoder)
    settings: dict[str, Any] = {
        "in_channels": backbone.config.hidden_sizes,
        "num_classes": architecture.num_classes,
        **architecture.head_settings,
    }
    try:
        head = _HEADS[architecture.head](**settings)
    except TypeError as error:  # an unknown keyword
        raise SettingsError(f"head_settings of {architecture.head}: {error}") from None
    return TemporalNetwork(backbone, head)


def encoder_of_segformer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of a SegFormer's state dict, with the names of a `TemporalNetwork`."""
    return {
        _ENCODER + name.removeprefix(_SEGFORMER_ENCODER): value
        for name, value in state.items()
        if name.startswith(_SEGFORMER_ENCODER)
    }


def load_temporal(
    name: str,
    architecture: TemporalArchitecture,
    checkpoint: Path,
    device: str | torch.device = "cpu",
    options: InferenceOptions | None = None,
    *,
    encoder_weights: Path | None = None,
) -> TemporalSegmentor:
    """Load CFFM, MRCFA or TV3S.

    Args:
        name: name in the registry.
        architecture: what to build; the number of classes is taken from the weights.
        checkpoint: a weights file in the published layout, or in that of `TemporalNetwork`.
        device: where to put the network.
        options: how to run it; by default in float32, with cached references.
        encoder_weights: of a SegFormer with the same encoder, for a checkpoint of the head alone.

    Raises:
        SettingsError: the head does not take its settings, or has no modes and one is given.
        DataError: the weights are missing, not readable, or do not fit the architecture.
    """
    options = options or InferenceOptions()
    if options.tv3s_mode and architecture.head != "tv3s":
        raise SettingsError(f"model {name} is no TV3S: leave out its mode {options.tv3s_mode}")
    path = weights_file(checkpoint)
    state = read_weights(path)
    if is_published(state):
        state = temporal_from_published(state)
    files = [path]
    if encoder_weights is not None and not any(key.startswith(_ENCODER) for key in state):
        files.append(encoder_weights)
        state = encoder_of_segformer(read_weights(encoder_weights)) | state
    wanted = f"a {architecture.head.upper()} in its published layout (backbone.*, decode_head.*)"
    num_classes = classifier_of(state, _CLASSIFIER, path, wanted).shape[0]
    architecture = architecture.model_copy(update={"num_classes": num_classes})
    network = build_temporal(architecture)
    load_fitting(state, network, name, path)
    device = torch.device(device)
    network = network.float().to(device).eval()
    return TemporalSegmentor(
        name,
        network,
        architecture.num_classes,
        sha256_file(path) if len(files) == 1 else sha256_json([sha256_file(f) for f in files]),
        device,
        options,
        architecture.input_size,
    )
