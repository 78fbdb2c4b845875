"""A classifier on disk: `classifier.safetensors` with the weights, `classifier.json` with the rest.

The JSON names the hash of the weights, so that a pair is whole or refused.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.isam2.classifiers.mlp import Classifier, ClassifierSettings, MaskletMLP
from sam2vss_lib.storage.files import atomic_path, read_json, sha256_file, write_json

FORMAT_VERSION = 1
_REDO = "move its folder away and train it again"


def save_classifier(classifier: Classifier, folder: Path) -> None:
    """Write a classifier; each file appears whole or not at all.

    The folder is made when missing; a classifier in it is replaced.
    """
    weights, about = _paths(folder)
    state = {k: v.cpu().contiguous() for k, v in classifier.network.state_dict().items()}
    with atomic_path(weights) as temporary:
        save_file(state, temporary)
        said = {
            "format_version": FORMAT_VERSION,
            "weights_sha256": sha256_file(temporary),
            "dim": classifier.dim,
            "class_names": list(classifier.class_names),
            "encoder": classifier.encoder,
            "settings": classifier.settings.model_dump(mode="json"),
            "best_epoch": classifier.best_epoch,
            "history": classifier.history,
        }
        write_json(about, said)  # while the weights wait: a failure here leaves the old pair


def load_classifier(folder: Path, *, device: str | torch.device = "cpu") -> Classifier:
    """Load a classifier from the folder where it was saved.

    Raises:
        DataError: a file is missing, damaged or of another training run.
        SettingsError: `device` cannot be used here.
    """
    weights, about = _paths(folder)
    if not about.is_file():
        raise DataError(f"{about}: no such classifier; train it first")
    said = read_json(about)
    try:
        version = said["format_version"]
        if version != FORMAT_VERSION:
            raise ValueError(f"format version {version}, this program reads {FORMAT_VERSION}")
        settings = ClassifierSettings.model_validate(said["settings"])
        names, dim = tuple(str(name) for name in said["class_names"]), int(said["dim"])
        digest, best_epoch = str(said["weights_sha256"]), int(said["best_epoch"])
        identity, history = dict(said["encoder"]), list(said["history"])
        network = MaskletMLP(dim, len(names), settings)
    except KeyError as error:
        raise DataError(f"{about}: no {error} in it; {_REDO}") from None
    except (ValidationError, ValueError, TypeError) as error:
        raise DataError(f"{about}: not a classifier ({first_line(error)}); {_REDO}") from None
    _load_weights(network, weights, digest)
    try:
        network = network.to(torch.device(device)).eval()
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {device}: cannot be used here ({first_line(error)})") from None
    return Classifier(network, settings, names, identity, history, best_epoch)


def _paths(folder: Path) -> tuple[Path, Path]:
    return folder / "classifier.safetensors", folder / "classifier.json"


def _load_weights(network: MaskletMLP, path: Path, digest: str) -> None:
    """Put weights into a network; every tensor must be there with the right shape, and no other."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; {_REDO}")
    if sha256_file(path) != digest:
        raise DataError(f"{path}: not the weights that classifier.json is about; {_REDO}")
    try:
        state: dict[str, Any] = load_file(path)
    except Exception as error:  # readers fed arbitrary bytes raise many things
        raise DataError(f"{path}: not readable ({first_line(error)}); {_REDO}") from None
    expected = {key: value.shape for key, value in network.state_dict().items()}
    found = {key: value.shape for key, value in state.items()}
    wrong = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    if wrong:
        raise DataError(
            f"{path}: weights do not fit classifier.json: {len(wrong)} tensors are missing, "
            f"unexpected or of another shape, such as {wrong[0]}; {_REDO}"
        )
    network.load_state_dict(state)
