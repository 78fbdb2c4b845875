"""A classifier of masklets made of words alone: the text side of an image-text model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import VOID
from sam2vss_lib.errors import DataError
from sam2vss_lib.isam2.encoders import Encoder, encoder_identity
from sam2vss_lib.isam2.features.store import FeatureStore
from sam2vss_lib.isam2.words.model import ImageTextModel
from sam2vss_lib.isam2.words.phrases import Phrases
from sam2vss_lib.isam2.words.settings import TEMPLATES, WordSettings
from sam2vss_lib.storage.files import sha256_json

_TEMPERATURES = np.geomspace(0.1, 10, 81)


@dataclass(frozen=True)
class WordClassifier:
    """Classes as unions of phrases, compared with the vectors of masklets."""

    class_names: tuple[str, ...]  # the C classes, label 0 first
    vectors: tuple[Tensor, ...]  # of each class (phrases, D) float32 of length 1
    scale: float  # of cosines, as the model was trained with
    settings: WordSettings
    encoder: dict[str, Any]  # identity of the image side whose features it takes
    made_with: dict[str, Any]  # what its answers depend on, for records; JSON-able

    def sha256(self) -> str:
        """Hash of all that the answers depend on."""
        return sha256_json([self.class_names, self.encoder["sha256"], self.made_with])

    def check_encoder(self, encoder: dict[str, Any], source: object) -> None:
        """Refuse features of another model or look, by its identity; `source` is where they are.

        Raises:
            DataError: it is another one.
        """
        if encoder["sha256"] != self.encoder["sha256"]:
            raise DataError(
                f"{source}: features of {encoder['name']} ({encoder['sha256'][:12]}...), but the "
                f"words are of {self.encoder['name']} ({self.encoder['sha256'][:12]}...); use "
                "another folder for features"
            )

    def logits(self, features: NDArray[Any]) -> Tensor:
        """Scores of every class, (n, C) float32, from (n, D) float features; n may be 0.

        Means of vectors are shorter than 1; only where they point counts.
        """
        seen = F.normalize(torch.from_numpy(features).float(), dim=-1)
        scale = self.scale / self.settings.temperature
        scores = [scale * (seen @ words.T) for words in self.vectors]
        if self.settings.union == "max":
            return torch.stack([score.amax(1) for score in scores], 1)
        return torch.stack([score.logsumexp(1) for score in scores], 1)

    def classify(self, features: NDArray[Any]) -> NDArray[np.uint8]:
        """The class of each masklet, (n,) uint8, the lowest among equals."""
        return self.logits(features).numpy().argmax(1).astype(np.uint8)

    def probabilities(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities of every class, (n, C) float32, which add up to 1."""
        return self.logits(features).softmax(1).numpy()


def word_classifier(
    model: ImageTextModel, encoder: Encoder, phrases: Phrases, settings: WordSettings
) -> WordClassifier:
    """The classifier of phrases.

    The vector of a phrase is the mean of those of the templates with the phrase in it, of length 1.

    Args:
        model: whose text side is asked.
        encoder: its image side, of `words_encoder`.
        phrases: of every class.
        settings: templates, temperature, and how phrases of a class are taken together.
    """
    templates = settings.templates or list(TEMPLATES)
    vectors = list[Tensor]()
    for said in phrases.values():
        texts = [template.format(phrase) for phrase in said for template in templates]
        found = model.text_features(texts).unflatten(0, (len(said), len(templates)))
        vectors.append(F.normalize(found.mean(1), dim=-1))
    made_with: dict[str, Any] = {
        "model": model.name,
        "model_sha256": model.sha256,
        "phrases": sum(map(len, phrases.values())),
        "phrases_sha256": sha256_json([[name, list(said)] for name, said in phrases.items()]),
        "templates": templates,
        "union": settings.union,
        "temperature": settings.temperature,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    identity = encoder_identity(encoder)
    return WordClassifier((*phrases,), (*vectors,), model.scale, settings, identity, made_with)


def calibrated_temperature(
    features: FeatureStore, clips: Sequence[str], classifier: WordClassifier
) -> float:
    """The temperature at which the labels of some clips' masklets are most likely.

    A masklet counts by its pixels that have its label.

    Args:
        features: of those clips, with labels.
        clips: their names.
        classifier: whose own temperature is of no matter.

    Raises:
        DataError: features are missing, of another model or without labels, or no masklet has one.
    """
    loss = torch.zeros(len(_TEMPERATURES), dtype=torch.float64)
    seen = 0
    for name in clips:
        known = features.read(name)
        classifier.check_encoder(known.metadata["encoder"], features.path(name))
        rows = known.rows
        labelled = rows.label != VOID
        logits = classifier.logits(rows.features[labelled]) * classifier.settings.temperature
        labels = torch.from_numpy(rows.label[labelled]).long()
        share = rows.purity * (1 - rows.void_share) * rows.area_px
        weight = torch.from_numpy(share[labelled]).double()
        for place, temperature in enumerate(_TEMPERATURES):
            surprise = F.cross_entropy(logits / float(temperature), labels, reduction="none")
            loss[place] += (surprise * weight).sum()
        seen += len(labels)
    if not seen:
        raise DataError(f"{features.root}: no masklet has a label; take clips with ground truth")
    return round(float(_TEMPERATURES[int(loss.argmin())]), 3)
