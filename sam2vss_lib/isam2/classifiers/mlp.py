"""The classifier of section 3.1.2: a multi-layer perceptron on one feature vector a masklet.

The paper names neither layers nor training; everything it leaves open is a setting.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sam2vss_lib.errors import DataError
from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.storage.files import sha256_json

_ROWS_AT_ONCE = 65_536


class MaskletMLP(nn.Module):
    """Standardisation, hidden layers with GELU and dropout, and a linear output.

    Of the settings `hidden`, `layers` and `dropout` are read.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, num_classes: int, settings: ClassifierSettings) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        widths = [dim, *[settings.hidden] * settings.layers]
        hidden: list[nn.Module] = []
        for wide, next_wide in pairwise(widths):
            hidden += [nn.Linear(wide, next_wide), nn.GELU(), nn.Dropout(settings.dropout)]
        self.body = nn.Sequential(*hidden, nn.Linear(widths[-1], num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """(n, C) logits of (n, D) float32 features."""
        return self.body((features - self.mean) / self.std)


@dataclass(frozen=True)
class Classifier:
    """A trained classifier ready to use."""

    network: MaskletMLP  # in evaluation mode, float32
    settings: ClassifierSettings  # it was trained with
    class_names: tuple[str, ...]  # the C classes, label 0 first
    # identity of the encoder whose features it takes (`name`, `sha256`, `dim`, ...)
    encoder: dict[str, Any]
    # one entry an epoch: `epoch`, `train_loss`, and of the validation clips `loss`, `accuracy`,
    # `macro_accuracy` where there are any
    history: list[dict[str, float]]
    best_epoch: int  # the one whose weights these are, from 1

    @property
    def dim(self) -> int:
        """D."""
        return len(self.network.mean)

    @property
    def made_with(self) -> dict[str, Any]:
        """What records say of it beside its hash: nothing, its own file has it all."""
        return {}

    def sha256(self) -> str:
        """Hash of the weights, the classes and the encoder: of all that the answers depend on."""
        digest = hashlib.sha256(sha256_json([self.class_names, self.encoder["sha256"]]).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def check_encoder(self, encoder: dict[str, Any], source: object) -> None:
        """Refuse features of another encoder, by its identity; `source` is named in the error.

        Raises:
            DataError: it is another one, or gives another number of features.
        """
        if encoder["dim"] != self.dim:
            raise DataError(
                f"{source}: {encoder['dim']} features a masklet, but the classifier takes "
                f"{self.dim}; use features of {self.encoder['name']}"
            )
        if encoder["sha256"] != self.encoder["sha256"]:
            raise DataError(
                f"{source}: features of {encoder['name']} ({encoder['sha256'][:12]}...), but the "
                f"classifier was trained on {self.encoder['name']} "
                f"({self.encoder['sha256'][:12]}...); use features of the same encoder"
            )

    @torch.inference_mode()
    def logits(self, features: NDArray[Any]) -> Tensor:
        """Scores of every class, (n, C) float32 on the CPU, from (n, D) float features; n may be 0.

        Raises:
            DataError: another number of features.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise DataError(f"features are {features.shape}, the classifier takes (n, {self.dim})")
        device = self.network.mean.device
        parts = torch.from_numpy(features).split(_ROWS_AT_ONCE)
        return torch.cat([self.network(part.to(device).float()).cpu() for part in parts])

    def probabilities(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities of every class, (n, C) float32, which add up to 1.

        Raises:
            DataError: another number of features.
        """
        return self.logits(features).softmax(1).numpy()

    def classify(self, features: NDArray[Any]) -> NDArray[np.uint8]:
        """The class of each masklet, whatever its area: (n,) uint8, the lowest among equals.

        Raises:
            DataError: another number of features.
        """
        return self.logits(features).numpy().argmax(1).astype(np.uint8)  # numpy takes the first
