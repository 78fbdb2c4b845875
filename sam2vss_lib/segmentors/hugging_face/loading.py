"""Loading a model of `transformers`: its kind, its weights, its processor, all from one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.hugging_face.classes import own_classes
from sam2vss_lib.segmentors.hugging_face.segmentor import HuggingFaceSegmentor, VideomtSegmentor
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.storage.hugging_face import (
    OFFLINE,
    check_weights,
    configs_sha256,
    model_folder,
    model_name,
    reading,
    weights_sha256,
)

_OTHER_OUTPUTS = ("detr",)  # its masks have other names, and its post-processing other rules
_TASK = "the task is semantic"  # as OneFormer was told in its training


def load_hugging_face(
    name: str, device: str | torch.device = "cpu", options: InferenceOptions | None = None
) -> HuggingFaceSegmentor:
    """Load a model for semantic or universal segmentation; nothing is ever downloaded.

    Args:
        name: a folder as `save_pretrained` writes it, with the model's processor, or the name of a
            model in the local Hugging Face cache.
        device: where to put the network.
        options: how to run it; by default in float32.

    Returns:
        The model with its own labels as classes; `for_classes` maps them to those of a data set.

    Raises:
        DataError: no such model here, its weights are missing, pickled or do not fit, or nothing
            says how it reads frames.
        SettingsError: no name, or a model of another kind.
    """
    if not name:
        raise SettingsError("model hf: needs a folder or a model's name after it: hf:NAME")
    folder = model_folder(name)
    kind = _kind(folder)
    made_with = {"configs_sha256": configs_sha256(folder)}
    checkpoint_sha256 = weights_sha256(folder)
    with reading(folder):
        network, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    check_weights(network, report, folder)
    config = network.config
    with reading(folder):
        processor, inputs = _processor(config, folder)
    if not hasattr(processor, "post_process_semantic_segmentation"):
        raise SettingsError(
            f"{folder}: its {type(processor).__name__} makes no semantic labels; use another model"
        )
    labels = [str(config.id2label[i]) for i in range(config.num_labels)]
    device, classes = torch.device(device), own_classes(labels)
    make = VideomtSegmentor if config.model_type == "videomt" else HuggingFaceSegmentor
    return make(
        model_name(name),
        network.float().to(device).eval(),
        len(labels),
        checkpoint_sha256,
        device,
        options or InferenceOptions(),
        processor,
        classes,
        {key: value.to(device) for key, value in inputs.items()},
        made_with={**made_with, "classes_sha256": classes.sha256},
    )


def _kind(folder: Path) -> Any:
    """The class of the network in a folder.

    Raises:
        DataError: its configuration cannot be read.
        SettingsError: it is for something else than segmentation.
    """
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto

    with reading(folder):
        config = AutoConfig.from_pretrained(folder, **OFFLINE)
    known = (
        modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING,
        modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING,
    )
    kinds: list[Any] = [kinds[type(config)] for kinds in known if type(config) in kinds]
    said: list[str] = config.architectures or []
    if config.model_type in _OTHER_OUTPUTS or not any(
        not said or kind.__name__ in said for kind in kinds
    ):
        found = said[0] if said else f"model of type {config.model_type}"
        raise SettingsError(
            f"{folder}: holds a {found}, which is none for semantic or universal segmentation; use "
            "such as SegFormer, UperNet, DPT, BEiT, Mask2Former, OneFormer, EoMT or VidEoMT"
        )
    return kinds[0]


def _processor(config: Any, folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """The processor of a model, and what the network reads besides frames."""
    from transformers import AutoImageProcessor, AutoTokenizer, AutoVideoProcessor

    if config.model_type == "videomt":
        return AutoVideoProcessor.from_pretrained(folder, **OFFLINE), {}
    if config.model_type != "oneformer":
        return AutoImageProcessor.from_pretrained(folder, **OFFLINE), {}
    # the list of classes that its processor would fetch is for training
    processor = AutoImageProcessor.from_pretrained(folder, class_info_file="", **OFFLINE)
    tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    length = config.task_seq_len
    words = tokenizer(
        [_TASK], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    return processor, {"task_inputs": words["input_ids"] * words["attention_mask"]}
