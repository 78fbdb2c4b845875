"""Reading weights, however a training loop wrapped them; nothing in a file is ever executed."""

import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from sam2vss_lib.errors import DataError, first_line

#: where training loops put the state dict, beside their optimizer, epoch and the like
_WRAPPERS = ("state_dict", "model", "model_state_dict")
#: what wrappers of a model (DataParallel, torch.compile, Lightning) put before all its names
_PREFIXES = ("module.", "_orig_mod.", "model.")
#: how files begin that are saved in place of weights
_NO_WEIGHTS = {
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a pointer of Git LFS",
}


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read named tensors, onto the CPU.

    They are in a `.safetensors` file, or in a state dict written by `torch.save`, by itself or
    under one of the names that training loops use for it. A prefix that a wrapper of the model put
    before all names is taken off.

    Raises:
        DataError: the file is damaged, or holds anything but named tensors of finite numbers, or
            it is in doubt which, or some names only have a prefix.
    """
    state = _load(path)
    for _ in _WRAPPERS:
        held = [
            key for key in _WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)
        ]
        if len(held) > 1:
            raise DataError(
                f"{path}: holds several state dicts ({', '.join(held)}); save the one to use alone"
            )
        state = state[held[0]] if held else state
    if not isinstance(state, dict) or not state:
        raise DataError(f"{path}: holds something else than named tensors; give a state dict")
    for name, value in state.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise DataError(
                f"{path}: holds something else than named tensors, such as {name!r}; give a state "
                f"dict, alone or as {', '.join(map(repr, _WRAPPERS))}"
            )
        if problem := _fault(value):
            raise DataError(f"{path}: {name} {problem}; give trained weights")
    return _without_prefixes(cast(dict[str, Tensor], state), path)


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is said in one line below
            if path.suffix == ".safetensors":
                return load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # parsers fed arbitrary bytes raise many things
        raise DataError(f"{path}: {_why_unreadable(path, error)}") from None


def _why_unreadable(path: Path, error: Exception) -> str:
    if path.is_file():
        with path.open("rb") as stream:
            begins = stream.read(max(map(len, _NO_WEIGHTS))).lower()
        for begin, what in _NO_WEIGHTS.items():
            if begins.startswith(begin):
                return f"is {what}, not weights; download the file itself"
    if isinstance(error, UnpicklingError):  # whose message advises to read the file unsafely
        return (
            "damaged, or holds more than tensors and plain values, and so more than weights; where "
            "it was made, save its state dict alone: torch.save(checkpoint['state_dict'], FILE)"
        )
    return (
        f"not a readable checkpoint ({type(error).__name__}: {first_line(error)}), likely cut "
        "short; download the file again"
    )


def _fault(value: Tensor) -> str:
    """Why a tensor cannot be a weight or a table; "" if it can."""
    if value.is_quantized or value.is_meta or value.layout != torch.strided:
        return "is no plain tensor"
    if value.is_complex():
        return "has complex numbers"
    return "" if bool(value.isfinite().all()) else "has values that are not finite"


def _without_prefixes(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    while prefix := next((p for p in _PREFIXES if any(n.startswith(p) for n in state)), None):
        others = [name for name in state if not name.startswith(prefix)]
        if others:
            raise DataError(
                f"{path}: {len(state) - len(others)} of {len(state)} names begin with {prefix!r}, "
                f"but not {others[0]}; give the state dict of one model"
            )
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
