"""The computations of Table 3: training masklets, features, classifiers, painted label maps."""

from functools import cached_property, partial
from typing import Literal

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.isam2.classifiers.mlp import Classifier
from sam2vss_lib.isam2.classifiers.training import train_classifier
from sam2vss_lib.isam2.classifiers.training_set import TrainingSet, read_training_set
from sam2vss_lib.isam2.encoders import Encoder, load_encoder
from sam2vss_lib.isam2.features import (
    FeatureSettings,
    FeatureStore,
    extract_features,
    sample_frames,
)
from sam2vss_lib.isam2.segment import segment_masklets
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.settings import (
    BaseSystem,
    EncoderSystem,
    IndependentSettings,
    StudySettings,
)
from sam2vss_lib.study.settings.paths import missing_weights, model_from
from sam2vss_lib.study.stages.context import Progress, open_split
from sam2vss_lib.study.stages.study import Labelled, Study

#: gives a class to every masklet: the classifier of a seed, or the ground truth under the masklet
Labeller = int | Literal["ground_truth"]


class IndependentStudy(Study):
    """A study with the stages of I-SAM2 (section 3.1.2), which share its masklets.

    Raises:
        SettingsError: the settings name no encoders.
    """

    def __init__(self, settings: StudySettings) -> None:
        super().__init__(settings)
        if not isinstance(settings, IndependentSettings):
            raise SettingsError("encoders: none is given; name at least one")
        self.independent = settings
        self._encoders: dict[str, Encoder] = {}
        self._classifiers: dict[tuple[str, int], Classifier] = {}
        self._features: dict[tuple[str, bool], FeatureStore] = {}

    def why_not_encoder(self, system: EncoderSystem) -> str | None:
        """Why an encoder's rows cannot be run here; None when they can.

        Raises:
            SettingsError: the encoder's name is wrong.
        """
        if system.encoder is None:
            return f"no encoder of {system.base} to take features from"
        if missing := missing_weights(system.encoder, PROJECT):
            return f"no weights at {missing}"
        try:
            self.encoder(system)
            _ = self.training_frames
        except DataError as error:
            return first_line(error)
        return None

    @cached_property
    def bounding_encoder(self) -> EncoderSystem | None:
        """The row whose features are pooled with true classes, which are the same in any row."""
        runnable = (s for s in self.independent.encoders if self.why_not_encoder(s) is None)
        return next(runnable, None)

    def base_of(self, system: EncoderSystem) -> BaseSystem:
        """The base system X of a row I-X."""
        return next(b for b in self.settings.base_systems if b.label == system.base)

    def encoder(self, system: EncoderSystem) -> Encoder:
        """The encoder of a row.

        Raises:
            DataError: its weights are missing or cannot be used.
            SettingsError: its name is wrong.
        """
        name = str(system.encoder)
        if name not in self._encoders:
            encoder = self._encoders[name] = load_encoder(model_from(name, PROJECT), self.device)
            self.uses({f"encoder {encoder.name}": encoder.sha256}, {})
        return self._encoders[name]

    @cached_property
    def training_frames(self) -> Dataset:
        """The clips that classifiers are trained on, with every n-th frame.

        Raises:
            DataError: there is no such split.
        """
        settings = self.independent
        clips = open_split(settings, settings.train_split).take(settings.train_clips)
        return sample_frames(clips, settings.train_frame_step)

    @cached_property
    def training_masklets(self) -> MaskletStore:
        """Proposals on the training frames, each frame by itself."""
        frames, model = self.training_frames, self.sam2
        settings = self.independent.training_masklets
        # the same clip with other frames is another clip to the store
        step = f"step {self.independent.train_frame_step}"
        identity = (settings.sha256(), model.checkpoint_sha256, model.config_sha256, step)
        store = MaskletStore(self.root / "masklets" / self.key(*identity, dataset=frames))

        def work(*, progress: Progress) -> int:
            return generate_masklets(frames, model, settings, store.root, progress=progress).reused

        self.timed("training masklets", store.root.name, work, frames)
        self.uses(self.sam2_checkpoint, {})
        return store

    def features(self, system: EncoderSystem, *, training: bool = False) -> FeatureStore:
        """Pooled features with labels, of the study's own masklets or of those to train on."""
        name = (str(system.encoder), training)
        if name in self._features:
            return self._features[name]
        encoder, own = self.encoder(system), self.independent
        if training:
            stage, settings = "training features", FeatureSettings()
            clips, masklets = self.training_frames, self.training_masklets
        else:
            stage, clips, masklets = "features", self.dataset, self.masklets
            settings = FeatureSettings(pool=own.feature_pool, frame_stride=own.feature_frame_stride)
        made_from = (encoder.sha256, masklets.root.name, sha256_json(settings.model_dump()))
        key = self.key(*made_from, dataset=clips)
        store = FeatureStore(self.root / "features" / key)
        extract = partial(extract_features, clips, masklets, encoder, store, settings)
        self.timed(stage, key, extract, clips)
        self._features[name] = store
        return store

    def training_set(self, system: EncoderSystem) -> TrainingSet:
        """The masklets that the classifiers of an encoder are trained on, validation included."""
        store = self.features(system, training=True)
        clips = [clip.name for clip in self.training_frames]
        return read_training_set(store, clips, self.independent.classifier)

    def classifier(self, system: EncoderSystem, seed: int) -> Classifier:
        """The classifier of an encoder and a seed."""
        name = (system.label, seed)
        if name in self._classifiers:
            return self._classifiers[name]
        store = self.features(system, training=True)
        settings = self.independent.classifier.model_copy(update={"seed": seed})
        frames = self.training_frames
        clips = [clip.name for clip in frames]
        made_from = (store.root.name, sha256_json(clips), sha256_json(settings.model_dump()))
        key = self.key(*made_from, dataset=frames)
        folder = self.root / "classifiers" / key

        def work(*, progress: Progress) -> int:
            self._classifiers[name], reused = train_classifier(
                store, clips, self.class_names, settings, folder, device=self.device
            )
            return len(frames) if reused else 0

        self.timed("classifier", key, work, frames, whole=True)
        trained = self._classifiers[name]
        self.uses({f"classifier {system.label} seed {seed}": trained.sha256()}, {})
        return trained

    def painted(
        self, system: EncoderSystem, labeller: Labeller, fill: Labelled | None = None
    ) -> Labelled:
        """Label maps of classified masklets (I-X), or with a base system below them (I-X_base).

        Args:
            system: whose features are classified.
            labeller: seed of the classifier; "ground_truth" for the most that one could reach.
            fill: a base system's predictions for what no masklet covers.
        """
        features = self.features(system)
        classifier = labeller if isinstance(labeller, str) else self.classifier(system, labeller)
        digest = classifier if isinstance(classifier, str) else classifier.sha256()
        below = "void" if fill is None else fill.key
        overlap = self.settings.overlap
        key = self.key(features.root.name, self.masklets.root.name, digest, below, overlap)
        out = PredictionFolder(self.root / "independent" / key, self.dataset.num_classes)

        made_from = (self.dataset, self.masklets, features, classifier, out)
        how = {"fill": fill and fill.folder, "overlap": overlap}
        self.timed("paint", key, partial(segment_masklets, *made_from, **how))
        encoder = self.encoder(system)
        checkpoints = {**self.sam2_checkpoint, f"encoder {encoder.name}": encoder.sha256}
        if not isinstance(classifier, str):
            checkpoints[f"classifier {system.label} seed {labeller}"] = digest
        if fill is not None:
            checkpoints |= fill.checkpoints
        name = system.label if fill is None else system.filled_label
        given = {} if fill is None else fill.predictions_sha256
        return Labelled(f"{name} ({labeller})", out, key, checkpoints, given)

    def alone_and_filled(
        self, system: EncoderSystem, labeller: Labeller, base: BaseSystem
    ) -> tuple[Labelled, Labelled | None]:
        """Painted masklets, and with a base system below them where it can be run."""
        alone = self.painted(system, labeller)
        if self.why_not(base) is not None:
            return alone, None
        return alone, self.painted(system, labeller, self.base(base))
