"""The arbiter: a small network that says from evidence whether the base model is right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.fusion.columns import COLOUR, COLUMNS
from sam2vss_lib.fusion.disputed import Values
from sam2vss_lib.refinement.settings import arbiter_path
from sam2vss_lib.storage.files import atomic_path, sha256_file
from sam2vss_lib.storage.targets import check_file

FORMAT_VERSION = 1
_FARTHEST = 6.0  # standard deviations, either way
_REDO = "make it by sam2vss fusion fit"
#: scores of proposals are left out: arbiters that see them know clips again instead of learning
DEFAULT_COLUMNS = (COLOUR, *(n for n, column in COLUMNS.items() if column.part != "scores"))


class ArbiterNet(nn.Module):
    """Standardised evidence, clipped, through two hidden layers to the logit of `base is right`."""

    mean: Tensor
    std: Tensor

    def __init__(self, columns: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("std", torch.ones(columns))
        self.body = nn.Sequential(
            nn.Linear(columns, hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, evidence: Tensor) -> Tensor:
        """(k,) logits of (k, D) float32 evidence."""
        standard = ((evidence - self.mean) / self.std).clamp(-_FARTHEST, _FARTHEST)
        return self.body(standard)[:, 0]


@dataclass(frozen=True)
class Arbiter:
    """Networks of several seeds, whose mean decides."""

    columns: tuple[str, ...]  # of the evidence, in the networks' order
    networks: tuple[ArbiterNet, ...]  # in evaluation mode
    card: dict[str, Any]  # what it was fitted on and how well; JSON-able

    @torch.inference_mode()
    def logits(self, columns: dict[str, Values]) -> Values:
        """Log-odds that the base model is right, of k disputed pixels, (k,)."""
        evidence = np.stack([columns[name] for name in self.columns], 1).astype(np.float32)
        given = torch.from_numpy(evidence)
        return torch.stack([network(given) for network in self.networks]).mean(0).numpy()

    def save(self, path: Path) -> None:
        """Write the one file of an arbiter, whole or not at all; its card is in its header."""
        state = {
            f"{index}.{name}": value.contiguous()
            for index, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }
        said = {"format_version": FORMAT_VERSION, "columns": self.columns, "card": self.card}
        with atomic_path(path) as temporary:
            save_file(state, temporary, {"arbiter": json.dumps(said)})


def load_arbiter(path: str | Path) -> Arbiter:
    """Read an arbiter, by its file or `demo`; the last few are kept.

    Raises:
        DataError: it is missing, or no arbiter that this program can use.
    """
    path = arbiter_path(str(path))
    return _load(path, sha256_file(path))


def check_place(path: Path) -> None:
    """Refuse a place for an arbiter where something else is.

    Raises:
        SettingsError: no file can be written there, or it holds no arbiter.
    """
    check_file(path)
    if path.exists() and path.stat().st_size:
        try:
            _load(path, sha256_file(path))
        except DataError:
            raise SettingsError(f"{path}: holds no earlier arbiter; use another name") from None


@lru_cache(maxsize=4)
def _load(path: Path, _sha256: str) -> Arbiter:
    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {})["arbiter"])
            names: list[str] = file.keys()
            state = {name: file.get_tensor(name) for name in names}
        if (version := said["format_version"]) != FORMAT_VERSION:
            raise ValueError(f"format version {version}, this program reads {FORMAT_VERSION}")
        columns, card = tuple(map(str, said["columns"])), dict(said["card"])
        if unknown := {*columns} - {*COLUMNS, COLOUR}:
            raise ValueError(f"evidence {min(unknown)} is not known here")
        networks: list[ArbiterNet] = []
        while f"{len(networks)}.mean" in state:
            mark = f"{len(networks)}."
            own = {k.removeprefix(mark): v for k, v in state.items() if k.startswith(mark)}
            network = ArbiterNet(len(columns), len(own["body.0.bias"]))
            network.load_state_dict(own)
            networks.append(network.eval())
        if not networks:
            raise ValueError("it holds no network")
    except Exception as error:  # readers fed arbitrary bytes raise many things
        raise DataError(f"{path}: no arbiter ({first_line(error)}); {_REDO}") from None
    return Arbiter(columns, tuple(networks), card)
