"""The weights of base models: their files, the names in them, and whether they fit."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.state_dicts import read_state_dict

_LISTED = 4  # names in a message
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
#: published SegFormers have the parameter names of transformers 4; those of 5 stand on the right
_RENAMED = (
    (r"\.encoder\.patch_embeddings\.(\d+)\.", r".stages.\1.patch_embeddings."),
    (r"\.encoder\.block\.(\d+)\.", r".stages.\1.blocks."),
    (r"\.encoder\.layer_norm\.(\d+)\.", r".stages.\1.layer_norm."),
    (r"\.attention\.self\.query\.", ".attention.q_proj."),
    (r"\.attention\.self\.key\.", ".attention.k_proj."),
    (r"\.attention\.self\.value\.", ".attention.v_proj."),
    (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.mlp\.dense([12])\.", r".mlp.fc\1."),
    (r"\.layer_norm_1\.", ".layernorm_before."),
    (r"\.layer_norm_2\.", ".layernorm_after."),
    (r"^decode_head\.linear_c\.", "decode_head.linear_projections."),
)


def weights_file(checkpoint: Path) -> Path:
    """The weights file of a checkpoint, which is a Hugging Face folder or the file itself.

    Raises:
        DataError: there is none.
    """
    if not checkpoint.exists():
        raise DataError(f"{checkpoint}: no such checkpoint; give a Hugging Face folder or file")
    if checkpoint.is_file():
        return checkpoint
    for file in _FOLDER_FILES:
        if (checkpoint / file).is_file():
            return checkpoint / file
    raise DataError(
        f"{checkpoint}: holds no {' or '.join(_FOLDER_FILES)}; download the model again"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict, with the parameter names of transformers 5 where it has those of 4.

    Files, and errors, are those of `read_state_dict`.
    """
    return {_current_name(name): value for name, value in read_state_dict(path).items()}


def classifier_of(state: Mapping[str, Tensor], key: str, path: Path, wanted: str) -> Tensor:
    """The weight of a network's last layer, whose shape says the number of classes and more.

    Raises:
        DataError: there is none of four dimensions; `wanted` says what to give instead.
    """
    classifier = state.get(key)
    if classifier is None or classifier.ndim != 4:
        raise DataError(f"{path}: no {key} of four dimensions; give {wanted}")
    return classifier


def load_fitting(state: Mapping[str, Tensor], network: nn.Module, name: str, path: Path) -> None:
    """Load weights, every one of them, into a network that has no other.

    Tables of indices are in published files too, but follow from the architecture: the network's
    own are kept, so that no file can make it read out of bounds.

    Raises:
        DataError: weights are missing, unexpected, or of another shape or type; the message lists
            them, with the model's name and the path where they are from.
    """
    wanted: Mapping[str, Tensor] = network.state_dict()
    unfit = {
        "missing": sorted(wanted.keys() - state.keys()),
        "unexpected": sorted(state.keys() - wanted.keys()),
        "of another shape": [
            f"{key} {tuple(state[key].shape)} not {tuple(wanted[key].shape)}"
            for key in wanted
            if key in state and state[key].shape != wanted[key].shape
        ],
        "of another type": [
            f"{key} {state[key].dtype} not {wanted[key].dtype}"
            for key in wanted
            if key in state and state[key].is_floating_point() != wanted[key].is_floating_point()
        ],
    }
    found = [f"{len(keys)} {what} ({_listed(keys)})" for what, keys in unfit.items() if keys]
    if found:
        raise DataError(
            f"{path}: weights do not fit {name}: {', '.join(found)}; check the model's name"
        )
    tables = {key: own for key, own in wanted.items() if own.ndim and not own.is_floating_point()}
    network.load_state_dict({**state, **tables})


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _current_name(name: str) -> str:
    for old, new in _RENAMED:
        name = re.sub(old, new, name)
    return name
