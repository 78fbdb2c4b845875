"""Encoders by name: `sam2:CHECKPOINT`, a base model, `transformers:FOLDER`, `hf:FOLDER@LAYER`."""

from typing import cast

import torch

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.base import Encoder
from sam2vss_lib.isam2.encoders.hugging_face import load_layer, load_transformers
from sam2vss_lib.isam2.encoders.sam2 import Sam2Level, sam2_encoder
from sam2vss_lib.isam2.encoders.segmentors import segmentor_encoder
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.segmentors.registry import load_segmentor


def load_encoder(spec: str, device: str | torch.device = "cpu") -> Encoder:
    """Load an encoder; nothing is ever downloaded.

    Args:
        spec: one of the following; what stands after the last `@` may be left out.

            `sam2:CHECKPOINT@LEVEL`, with a checkpoint as for `load_sam2` and a level of
            `sam2_encoder` (`fpn16`);
            `MODEL@FEATURE` or `MODEL:WEIGHTS@FEATURE`, a base model as for `load_segmentor` and
            one of its features (SegFormers: `4`, the last stage, `1` to `3`, or `all`; CFFM, MRCFA
            and TV3S: `fuse`, `c4`, or `clip`, which reads the references too);
            `transformers:NAME@SIDE`, a folder in Hugging Face layout or the name of a model in the
            local Hugging Face cache (timm's too, where timm is installed), and the side in px to
            which frames are squashed;
            `hf:NAME@LAYER`, a base model of transformers and the name of a module in its network.
        device: where to put the model.

    Raises:
        SettingsError: the name or what follows it is unknown.
        DataError: the weights are missing, unreadable, or do not fit.
    """
    before, _, after = spec.rpartition("@")
    name, feature = (before, after) if before else (spec, None)
    kind, _, rest = name.partition(":")
    if kind == "sam2":
        model = load_sam2(rest or "demo", device=device)
        return sam2_encoder(model, cast(Sam2Level, feature or "fpn16"))
    if kind == "transformers":
        return load_transformers(rest, _side_px(spec, feature), device)
    if kind == "hf":
        return load_layer(rest, feature, device)
    return segmentor_encoder(load_segmentor(name, device), feature)


def _side_px(spec: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise SettingsError(
            f"encoder {spec!r}: {text!r} after @ is no side in px; give one or none"
        )
    return int(text)
