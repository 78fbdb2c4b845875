"""Reading a network of `transformers` for video from a folder, or from the hub's local cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.hugging_face import (
    OFFLINE,
    check_weights,
    model_folder,
    model_name,
    reading,
    weights_sha256,
)

HUB = "hf:"
#: the classes, and the types of models whose folders they can read
CLASSES = {
    "Sam2VideoModel": ("sam2_video",),
    "EdgeTamVideoModel": ("edgetam_video",),
    "Sam3TrackerVideoModel": ("sam3_tracker_video", "sam3_video"),
}


class ReadNetwork(NamedTuple):
    """A network, and where it is from."""

    network: Any  # of the class, on the CPU, in float32, for evaluation
    folder: Path
    name: str
    checkpoint_sha256: str


def read_network(kind: str, checkpoint: str) -> ReadNetwork:
    """Read a network of one of `CLASSES`; nothing is ever downloaded.

    The checkpoint is a folder as `save_pretrained` writes it, or the name of a model in the local
    Hugging Face cache, with or without `hf:` before it.

    Raises:
        DataError: it is not here, or its weights are missing, pickled or do not fit.
        SettingsError: it is a checkpoint of sam2, or of another class.
    """
    import transformers

    if checkpoint in load_checkpoints_manifest() or Path(checkpoint).is_file():
        raise SettingsError(
            f"{checkpoint}: a checkpoint of the package sam2, which {kind} does not read; give a "
            "folder of transformers or the name of a model on the hub, or use engine: batched"
        )
    folder = model_folder(checkpoint.removeprefix(HUB))
    with reading(folder):
        config = transformers.AutoConfig.from_pretrained(folder, **OFFLINE)
    if (found := config.model_type) not in CLASSES[kind]:
        others = [f"transformers:{name}" for name, types in CLASSES.items() if found in types]
        hint = f"use engine: {others[0]}" if others else f"give a folder of {kind}"
        raise SettingsError(f"{folder}: holds a model of type {found}, not a {kind}; {hint}")
    checkpoint_sha256 = weights_sha256(folder)
    with reading(folder):
        network, report = getattr(transformers, kind).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    check_weights(network, report, folder)
    name = model_name(checkpoint.removeprefix(HUB))
    return ReadNetwork(network.float().eval(), folder, name, checkpoint_sha256)
