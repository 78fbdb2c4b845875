"""The stage that labels clips by words: features of their masklets, then classes, then paint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.isam2.encoders import Encoder
from sam2vss_lib.isam2.features import FeatureSettings, FeatureStore, extract_features
from sam2vss_lib.isam2.segment import segment_masklets
from sam2vss_lib.isam2.words.classifier import (
    WordClassifier,
    calibrated_temperature,
    word_classifier,
)
from sam2vss_lib.isam2.words.looks import words_encoder
from sam2vss_lib.isam2.words.model import load_image_text
from sam2vss_lib.isam2.words.phrases import Phrases
from sam2vss_lib.isam2.words.settings import LookSettings, WordSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder


@dataclass(frozen=True)
class Words:
    """Both sides of an image-text model, ready to label masklets."""

    encoder: Encoder  # of masklets
    classifier: WordClassifier  # of their features
    look: LookSettings

    def extract(
        self, dataset: Dataset, masklets: MaskletStore, features: FeatureStore, **how: Any
    ) -> int:
        """Store what the model sees of every masklet; see `extract_features`."""
        settings = FeatureSettings(frame_stride=self.look.frame_stride)
        return extract_features(dataset, masklets, self.encoder, features, settings, **how)

    def segment(
        self,
        dataset: Dataset,
        masklets: MaskletStore,
        features: FeatureStore,
        out: PredictionFolder,
        *,
        progress: Callable[[str], None] = lambda clip: None,
        **how: Any,
    ) -> int:
        """Label every clip; finished clips are reused, and their number is returned.

        Ground truth is not read. Features are kept, since other words can use them.

        Args:
            dataset: the clips.
            masklets: their masklets.
            features: where features are kept.
            out: where labels go.
            progress: called with each clip's name when its masklets were looked at, which takes
                longest.
            how: `fill`, `overlap` and `save_probabilities` of `segment_masklets`.

        Raises:
            DataError, SettingsError: as `extract_features` and `segment_masklets`.
        """
        self.extract(dataset, masklets, features, with_labels=False, progress=progress)
        return segment_masklets(dataset, masklets, features, self.classifier, out, **how)

    def temperature(
        self,
        dataset: Dataset,
        masklets: MaskletStore,
        features: FeatureStore,
        *,
        progress: Callable[[str], None] = lambda clip: None,
    ) -> float:
        """The temperature that labelled clips ask for; see `calibrated_temperature`."""
        self.extract(dataset, masklets, features, with_labels=True, progress=progress)
        return calibrated_temperature(features, [c.name for c in dataset], self.classifier)


def load_words(
    model: str,
    phrases: Phrases,
    look: LookSettings | None = None,
    settings: WordSettings | None = None,
    device: str | torch.device = "cpu",
) -> Words:
    """Load an image-text model, and have it read the phrases of every class.

    Args:
        model: as of `load_image_text`.
        phrases: as of `class_phrases`.
        look: what it sees of masklets.
        settings: how they are compared with words.
        device: where the model runs.

    Raises:
        DataError: the model cannot be loaded.
        SettingsError: there is no such model, or it cannot be looked through like that.
    """
    look, settings = look or LookSettings(), settings or WordSettings()
    loaded = load_image_text(model, device)
    encoder = words_encoder(loaded, look)
    return Words(encoder, word_classifier(loaded, encoder, phrases, settings), look)
