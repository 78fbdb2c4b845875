"""Where a result comes from: enough to make it again, attached to every file of numbers."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from typing import Any

import torch
from pydantic import BaseModel

from sam2vss_lib.metrics import PROTOCOL
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.storage.places import CHECKOUT

_PACKAGES = ("sam2vss", "torch", "torchvision", "sam2", "transformers", "numpy", "pillow")


class Provenance(BaseModel, frozen=True, extra="forbid"):
    """The inputs a result follows from."""

    commit: str | None  # git commit of the code, None outside a checkout
    modified: bool | None  # whether tracked files differed from the commit
    settings_sha256: str  # hash of the settings the result was made with
    data_sha256: str  # hash over the paths and contents of all frames and masks in use
    checkpoint_sha256: dict[str, str]  # model -> hash of its weights file
    predictions_sha256: dict[str, str]  # predictions made elsewhere -> hash over their files
    protocol: str  # id of the metric protocol
    versions: dict[str, str]  # package -> version, Python included
    device: str  # processor or GPU by name
    seed: int  # of everything random


def collect_provenance(
    *,
    settings: dict[str, Any],
    data_sha256: str,
    checkpoints: dict[str, str] | None = None,
    predictions: dict[str, str] | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> Provenance:
    """Gather the provenance of a result made now, see `Provenance`.

    The settings are JSON-able, without paths that say only where files lie; the device is "cpu",
    "cuda" or "cuda:N".
    """
    changed = _git("diff", "HEAD", "--name-only")
    return Provenance(
        commit=_git("rev-parse", "HEAD") or None,
        modified=None if changed is None else bool(changed),
        settings_sha256=sha256_json(settings),
        data_sha256=data_sha256,
        checkpoint_sha256=checkpoints or {},
        predictions_sha256=predictions or {},
        protocol=PROTOCOL.id,
        versions={"python": platform.python_version(), **package_versions()},
        device=device_name(device),
        seed=seed,
    )


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    return {name: _version(name) for name in _PACKAGES}


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def device_name(device: str) -> str:
    """Human-readable name of a torch device."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _git(*arguments: str) -> str | None:
    """Output of a git command in the checkout; None where there is no git or no checkout."""
    if CHECKOUT is None:
        return None
    try:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.check_output(
            command, stderr=subprocess.DEVNULL, text=True, timeout=20
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return None
