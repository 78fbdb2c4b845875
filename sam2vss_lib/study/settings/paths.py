"""Relative paths in settings: from the caller's folder on the command line, else the project's.

A tilde is the home folder.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from sam2vss_lib.storage.places import GENERATED

_WEIGHTS = (".pt", ".pth", ".safetensors", ".bin")


def path_from(text: str, base: Path) -> str:
    """A path, from `base` where it is relative; generated data sets and "" are no paths."""
    return text if text in ("", *GENERATED) else str(base / os.path.expanduser(text))


def weights_from(text: str, base: Path) -> str:
    """Weights: a path as of `path_from`, or the name of a checkpoint or hub model, as it is."""
    text = os.path.expanduser(text)
    is_file = Path(text).suffix in _WEIGHTS or (text and (base / text).exists())
    return path_from(text, base) if is_file else text


def model_from(text: str, base: Path) -> str:
    """A model as settings name it, `NAME[:WEIGHTS][@PART]`, with its weights by `weights_from`.

    Example:
        >>> model_from("cffm-mit_b1:cffm.pth@fuse", Path("/study"))
        'cffm-mit_b1:/study/cffm.pth@fuse'
        >>> model_from("sam2:sam2.1_hiera_large", Path("/study"))
        'sam2:sam2.1_hiera_large'
    """
    before, weights, after = _around_weights(text)
    return f"{before}{weights_from(weights, base)}{after}"


def missing_weights(text: str, base: Path) -> str | None:
    """The file of a model as of `model_from`, as it is written, where there is none.

    Of an hf: model that is the folder, or the name that is not in the local Hugging Face cache.
    """
    before, weights, _ = _around_weights(text)
    if before == "hf:" and not (base / os.path.expanduser(weights)).is_dir():
        return None if _is_cached(weights) else weights
    path = base / os.path.expanduser(weights)
    is_file = path.suffix in _WEIGHTS and not path.exists()
    return weights if is_file else None


def _is_cached(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:  # a path
        return False


def _around_weights(text: str) -> tuple[str, str, str]:
    """A model's name with the colon, its weights, and the part with the at sign; "" for none."""
    name, colon, rest = text.partition(":")
    weights, at, part = rest.rpartition("@") if "@" in rest else (rest, "", "")
    return name + colon, weights, at + part


_PATHS: dict[str, Callable[[str, Path], str]] = {
    "dataset": path_from,
    "source": path_from,
    "benchmarks": path_from,
    "checkpoint": weights_from,
    "classes": weights_from,
    "predictions": path_from,
    "masklets": path_from,
    "segmentor": model_from,
    "model": model_from,
    "encoder": model_from,
}


def parameters_from(parameters: dict[str, Any], base: Path) -> dict[str, Any]:
    """Parameters whose paths, those of systems in them too, start at `base`; none is checked."""

    def located(name: str, value: Any) -> Any:
        match value:
            case str() if name in _PATHS:
                return _PATHS[name](value, base)
            case dict():
                return parameters_from(cast(dict[str, Any], value), base)
            case list():
                return [located(name, item) for item in cast(list[Any], value)]
            case _:
                return value

    return {name: located(name, value) for name, value in parameters.items()}
