"""A model of `transformers` on this machine: its folder, and what its predictions follow from."""

from collections.abc import Generator
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.storage.files import sha256_file, sha256_json

_WEIGHTS = "model.safetensors"
_SHARDS = "model-*-of-*.safetensors"
#: what `transformers` keeps for the processors of images and videos
PROCESSOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
#: for every `from_pretrained`: the network is not used, and code in a folder is never executed
OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def model_folder(name: str) -> Path:
    """The folder itself, or that of a model in the local Hugging Face cache.

    Raises:
        DataError: there is neither.
    """
    from transformers.utils.hub import cached_file

    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(str(cached_file(name, "config.json", local_files_only=True))).parent
    except OSError:
        raise DataError(
            f"{name}: no folder, and no model of this name in the local Hugging Face cache; "
            f"`sam2vss checkpoints fetch hf:{name}` downloads it"
        ) from None


def model_name(name: str) -> str:
    """The name of a model for people and records, wherever its folder lies.

    Example:
        >>> model_name("tue-mps/ade20k_semantic_eomt_large_512")
        'hf:tue-mps/ade20k_semantic_eomt_large_512'
    """
    return f"hf:{Path(name).resolve().name if Path(name).is_dir() else name}"


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a model's weights; of several files, over theirs.

    Raises:
        DataError: there are none in the form that holds tensors and nothing else.
    """
    if (folder / _WEIGHTS).is_file():
        return sha256_file(folder / _WEIGHTS)
    shards = {path.name: sha256_file(path) for path in sorted(folder.glob(_SHARDS))}
    if shards:
        return sha256_json(shards)
    pickled = next(iter(sorted(folder.glob("*.bin"))), None)
    held = f"only the pickled {pickled.name}, which is never loaded" if pickled else "no weights"
    raise DataError(f"{folder}: holds {held}; give a folder or revision with {_WEIGHTS}")


def configs_sha256(folder: Path) -> str:
    """SHA-256 over how a model is built and how it reads frames.

    Raises:
        DataError: nothing says how it reads frames.
    """
    found = [folder / name for name in PROCESSOR_FILES if (folder / name).is_file()]
    if not found:
        raise DataError(
            f"{folder}: holds no {PROCESSOR_FILES[0]}, which says how frames are resized and "
            "normalised; save the model's image processor there"
        )
    return sha256_json({path.name: sha256_file(path) for path in (folder / "config.json", *found)})


@contextmanager
def reading(folder: Path) -> Generator[None]:
    """Read parts of a model in silence, and say in one line what is wrong with them.

    Raises:
        DataError: whatever `transformers` found.
        SettingsError: a package that it would need is not there.
    """
    from transformers.utils import logging

    verbosity, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    except DataError:
        raise
    except ImportError as error:  # of what some networks are made of, such as timm
        raise SettingsError(
            f"{folder}: needs a package that is not installed ({first_line(error)})"
        ) from None
    except Exception as error:  # configurations and weights of any kind can be wrong in many ways
        raise DataError(
            f"{folder}: not a usable transformers model ({first_line(error)}); download it again"
        ) from None
    finally:
        logging.set_verbosity(verbosity)
        if has_bar:
            logging.enable_progress_bar()


def check_weights(network: Any, report: Any, folder: Path) -> None:
    """Refuse a network that has random or broken weights in it.

    Raises:
        DataError: weights are missing, of another shape, or not finite.
    """
    # what is counted in training alone is no weight
    lacking = {key for key in report["missing_keys"] if not key.startswith("criterion.")}
    lacking |= {str(key[0]) for key in report["mismatched_keys"]}
    if lacking:
        first = min(lacking)
        raise DataError(
            f"{folder}: {len(lacking)} weights are missing or of another shape, such as {first}; "
            "download the model again"
        )
    for key, value in network.named_parameters():
        if not bool(value.isfinite().all()):
            raise DataError(f"{folder}: {key} has values that are not finite; give trained weights")
