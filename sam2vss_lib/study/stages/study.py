"""The computations that notebooks share, each kept on disk under a name that says what made it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import PROTOCOL, MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.predictions.importers.convert import convert_predictions, open_predictions
from sam2vss_lib.predictions.importers.sources import PredictionSource
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import Vote
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segment import segment
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.storage.records import is_finished, mark_finished
from sam2vss_lib.study.settings import BaseSystem, StudySettings
from sam2vss_lib.study.settings.paths import model_from, weights_from
from sam2vss_lib.study.stages.context import KEY_DIGITS, Progress, StudyContext, open_split
from sam2vss_lib.study.stages.evaluation import (
    count_predictions,
    offset_warning,
    predictions_sha256,
    sums_path,
    write_metrics,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labelled:
    """Predictions of the data set and what they follow from."""

    name: str  # for people, as in the tables
    folder: PredictionFolder
    key: str  # for folders of what is made from them; differs whenever the labels may
    checkpoints: dict[str, str]  # weights behind them, by model
    # hash over their files where they were made elsewhere, by name
    predictions_sha256: dict[str, str]


@dataclass(frozen=True)
class Evaluated:
    """Predictions with their numbers."""

    predictions: PredictionFolder  # the labels that were evaluated
    metrics: dict[str, Any]  # contents of their `metrics.json`
    suite: MetricSuite  # their per-clip sums, for paired intervals

    def gains_by_clip(self, before: Evaluated, metric: str) -> dict[str, float]:
        """How far a metric is above another run's, of every clip in which both are defined."""
        ours, theirs = (
            {line["clip"]: line[metric] for line in run.metrics["per_clip"]}
            for run in (self, before)
        )
        return {
            clip: value - theirs[clip]
            for clip, value in ours.items()
            if value is not None and theirs.get(clip) is not None
        }


class Study(StudyContext):
    """The stages of one study, computed on demand and reused from `settings.stages_dir`."""

    saves_probabilities = False  # of base models that are run here

    def __init__(self, settings: StudySettings) -> None:
        super().__init__(settings)
        self._bases: dict[str, Labelled] = {}
        self._sources: dict[str, PredictionSource] = {}
        self._evaluated: dict[str, Evaluated] = {}

    @cached_property
    def masklets(self) -> MaskletStore:
        """Masklets of all clips with the study's own settings, shared by all base systems."""
        settings = self.settings.masklets
        return self.masklets_for([settings])[settings]

    def masklet_folders(
        self, settings: Sequence[MaskletSettings], dataset: Dataset
    ) -> dict[MaskletSettings, Path]:
        """Where masklets of each of several settings are kept."""
        identity = (self.sam2.checkpoint_sha256, self.sam2.config_sha256)
        return {
            s: self.root / "masklets" / self.key(s.sha256(), *identity, dataset=dataset)
            for s in settings
        }

    def masklets_for(
        self, settings: Sequence[MaskletSettings]
    ) -> dict[MaskletSettings, MaskletStore]:
        """Masklets of several settings, which share whatever work they have in common."""
        outs = self.masklet_folders(settings, self.dataset)
        key = next(iter(outs.values())).name if len(outs) == 1 else f"{len(outs)} settings"

        def work(*, progress: Progress) -> int:
            run = generate_shared(self.dataset, self.sam2, outs, progress=progress)
            return min(one.reused for one in run.by_settings.values())

        self.timed("masklets", key, work)
        self.uses(self.sam2_checkpoint, {})
        return {s: MaskletStore(out) for s, out in outs.items()}

    def why_not(self, system: BaseSystem) -> str | None:
        """Why a base system cannot be run here; None when it can.

        Raises:
            DataError: there are predictions, but a list of them cannot be read.
        """
        if (lack := system.lacks(PROJECT)) or system.predicts_here(PROJECT):
            return lack
        source = self._source(system)
        if lacking := [clip.name for clip in self.dataset if source.missing(clip)]:
            said = f"{len(lacking)} clips, such as {lacking[0]}"
            return f"predictions at {system.predictions} are incomplete: {said}"
        return None

    def base(self, system: BaseSystem) -> Labelled:
        """Predictions of a base system, made here or read from where they are.

        Raises:
            DataError: they are missing or cannot be used.
        """
        if system.label not in self._bases:
            make = self._segmented if system.predicts_here(PROJECT) else self._external
            made = self._bases[system.label] = make(system)
            self.uses(made.checkpoints, made.predictions_sha256)
        return self._bases[system.label]

    def _external(self, system: BaseSystem) -> Labelled:
        """Label PNGs are read where they are; other formats are converted to them once."""
        if system.format == "index":
            root = PROJECT / str(system.predictions)
            folder = PredictionFolder(root, self.dataset.num_classes, system.label_offset)
            digest = predictions_sha256(self.dataset, folder)
            key = f"{_slug(system.label)}-{self.key(digest, str(system.label_offset))}"
        else:
            source = self._source(system)
            digest = sha256_json([source.sha256(clip) for clip in self.dataset])
            sources = self.key(system.format, digest, str(system.label_offset))
            key = f"{_slug(system.label)}-{sources}"
            folder = PredictionFolder(self.root / "base" / key, self.dataset.num_classes)
            self.timed("convert", key, partial(convert_predictions, self.dataset, source, folder))
        return Labelled(system.label, folder, key, {}, {system.label: digest})

    def _source(self, system: BaseSystem) -> PredictionSource:
        """Predictions made elsewhere, in their own format."""
        if system.label not in self._sources:
            self._sources[system.label] = open_predictions(
                system.format,
                PROJECT / str(system.predictions),
                self._whole_split,
                label_offset=system.label_offset,
            )
        return self._sources[system.label]

    @cached_property
    def _whole_split(self) -> Dataset:
        """All clips, as results without names are counted through all of them."""
        settings = self.settings
        return self.dataset if settings.max_clips is None else open_split(settings, settings.split)

    def _segmented(self, system: BaseSystem) -> Labelled:
        loaded = load_segmentor(model_from(str(system.segmentor), PROJECT), self.device)
        class_map = system.classes and weights_from(system.classes, PROJECT)
        model = loaded.for_classes(self.dataset.class_names, class_map)
        kept = ["probabilities"] if self.saves_probabilities else []
        sources = (model.checkpoint_sha256, model.name, *model.made_with.values(), *kept)
        key = f"{_slug(system.label)}-{self.key(*sources)}"
        folder = PredictionFolder(self.root / "base" / key, self.dataset.num_classes)
        given = {"save_probabilities": self.saves_probabilities}
        self.timed("segment", key, partial(segment, self.dataset, model, folder, **given))
        return Labelled(system.label, folder, key, {system.label: model.checkpoint_sha256}, {})

    def refined(
        self,
        system: BaseSystem,
        vote: Vote,
        masklets: MaskletStore | None = None,
        others: Sequence[BaseSystem] = (),
    ) -> Labelled:
        """A base system's predictions refined by masklets, by default those of `masklets`.

        Rules that ask several base models are given the `others` too.
        """
        base, masklets = self.base(system), masklets or self.masklets
        settings = self.settings.refinement(vote)
        more = [self.base(other) for other in others]
        keys = (base.key, *(one.key for one in more), masklets.root.name)
        sources = (*keys, sha256_json(settings.identity()))
        key = f"{_slug(system.label)}-{vote}-{self.key(*sources)}"
        out = PredictionFolder(self.root / "refined" / key, self.dataset.num_classes)
        made_from = (self.dataset, base.folder, masklets, out, settings)
        given = {"others": [one.folder for one in more], "device": self.device}
        self.timed("refine", key, partial(refine, *made_from, **given))
        checkpoints, digests = dict(self.sam2_checkpoint), dict[str, str]()
        for one in (base, *more):
            checkpoints |= one.checkpoints
            digests |= one.predictions_sha256
        return Labelled(f"SAM2-{system.label} ({vote} vote)", out, key, checkpoints, digests)

    def evaluated(self, labelled: Labelled) -> Evaluated:
        """Metrics of predictions; frames are counted once, intervals are drawn anew by a study."""
        if labelled.key in self._evaluated:
            return self._evaluated[labelled.key]
        path = self.counted(labelled)
        suite = MetricSuite.load(sums_path(path))
        provenance = self.provenance(labelled.checkpoints, labelled.predictions_sha256)
        metrics = write_metrics(path, suite, provenance, samples=self.settings.bootstrap_samples)
        found = self._evaluated[labelled.key] = Evaluated(labelled.folder, metrics, suite)
        return found

    def counted(self, labelled: Labelled) -> Path:
        """Compare predictions with ground truth; where metrics belong, beside their sums."""
        folder, dataset = labelled.folder, self.dataset
        made_from = {
            "predictions_sha256": predictions_sha256(dataset, folder),
            "label_offset": folder.label_offset,
            "data_sha256": self.data_sha256,
            "class_names": list(self.class_names),
            "stray_labels": self.settings.stray_labels,
            "protocol": PROTOCOL.id,
        }
        key = f"{labelled.key}-{sha256_json(made_from)[:KEY_DIGITS]}"
        path = self.root / "metrics" / key / "metrics.json"

        def count(*, progress: Progress) -> int:
            if is_finished(path.parent, made_from):
                return len(dataset)
            suite = count_predictions(dataset, folder, device=self.device, progress=progress)
            if warning := offset_warning(dataset, folder):
                _log.warning(warning)
            suite.save(sums_path(path))
            mark_finished(path.parent, made_from, pattern=sums_path(path).name)
            return 0

        self.timed("evaluate", key, count, whole=True)
        return path


def _slug(label: str) -> str:
    """A label as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label)
