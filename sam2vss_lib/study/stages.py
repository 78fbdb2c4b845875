"""The computations that notebooks share, each kept on disk under a name that says what made it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tqdm import tqdm

from sam2vss_lib.datasets import Dataset, PredictionFolder, open_dataset
from sam2vss_lib.files import sha256_json
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import PROTOCOL, MetricSuite
from sam2vss_lib.records import is_finished, mark_finished
from sam2vss_lib.refinement import Vote, refine
from sam2vss_lib.segmentors import load_segmentor, segment
from sam2vss_lib.study.evaluation import (
    count_predictions,
    predictions_sha256,
    sums_path,
    write_metrics,
)
from sam2vss_lib.study.provenance import REPOSITORY, Provenance, collect_provenance
from sam2vss_lib.study.settings import BaseSystem, StudySettings

_log = logging.getLogger(__name__)
_KEY = 10  # digits of a hash in a folder's name


@dataclass(frozen=True)
class StageRun:
    """One line of the stage log: what was done and how much of it was there already."""

    stage: str
    key: str
    clips: int
    reused: int
    seconds: float


@dataclass(frozen=True)
class Labelled:
    """Predictions of the data set and what they follow from.

    Attributes:
        name: for people, as in the tables.
        folder: the labels.
        key: for folders of what is made from them; differs whenever the labels may.
        checkpoints: weights behind them, by model.
        predictions_sha256: hash over their files where they were made elsewhere, by name.
    """

    name: str
    folder: PredictionFolder
    key: str
    checkpoints: dict[str, str]
    predictions_sha256: dict[str, str]


@dataclass(frozen=True)
class Evaluated:
    """Predictions with their numbers.

    Attributes:
        predictions: the labels that were evaluated.
        metrics: contents of their `metrics.json`.
        suite: their per-clip sums, for paired intervals.
    """

    predictions: PredictionFolder
    metrics: dict[str, Any]
    suite: MetricSuite


class Study:
    """The stages of one study, computed on demand and reused from `settings.stages_dir`.

    Relative paths in the settings start at the project's folder.

    Args:
        settings: of the notebook.
    """

    def __init__(self, settings: StudySettings) -> None:
        self.settings = settings
        self.log: list[StageRun] = []
        self._root = REPOSITORY / settings.stages_dir
        self._device = settings.torch_device
        self._labelled: dict[str, Labelled] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """The clips of the study."""
        settings = self.settings
        root = settings.dataset if settings.dataset == "demo" else REPOSITORY / settings.dataset
        opened = open_dataset(root, settings.split, stray_labels=settings.stray_labels)
        return opened.take(settings.max_clips)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their numbers where the data set has no class list."""
        names = self.dataset.class_names
        return names or tuple(str(index) for index in range(self.dataset.num_classes))

    @property
    def status(self) -> str:
        """What a row that was run was run on."""
        return f"run on {len(self.dataset)} clips of {self.settings.dataset} {self.dataset.split}"

    @cached_property
    def data_sha256(self) -> str:
        """Hash of all frames and masks in use."""
        return self.dataset.content_sha256()

    @cached_property
    def sam2(self) -> Sam2Model:
        """The SAM2 model."""
        return load_sam2(self.settings.checkpoint, device=self._device)

    @cached_property
    def masklets(self) -> MaskletStore:
        """Masklets of all clips, shared by all base systems."""
        settings, model = self.settings.masklets, self.sam2
        key = self._key(settings.sha256(), model.checkpoint_sha256, model.config_sha256)
        out = self._root / "masklets" / key
        self._timed(
            "masklets",
            key,
            lambda tick: (
                generate_masklets(self.dataset, model, settings, out, progress=tick).reused
            ),
        )
        return MaskletStore(out)

    def why_not(self, system: BaseSystem) -> str | None:
        """Why a base system cannot be run here; None when it can."""
        if system.predictions is None:
            _, _, weights = str(system.segmentor).partition(":")
            missing = weights and not (REPOSITORY / weights).exists()
            return f"no weights at {weights}" if missing else None
        folder = PredictionFolder(REPOSITORY / system.predictions, self.dataset.num_classes)
        if not folder.root.is_dir():
            return f"no predictions at {system.predictions}"
        lacking = [clip.name for clip in self.dataset if folder.missing(clip)]
        if lacking:
            return (
                f"predictions at {system.predictions} are incomplete: "
                f"{len(lacking)} clips, such as {lacking[0]}"
            )
        return None

    def base(self, system: BaseSystem) -> Labelled:
        """Predictions of a base system, made here or read from where they are.

        Raises:
            DataError: they are missing or cannot be used.
        """
        if system.label not in self._labelled:
            make = self._external if system.segmentor is None else self._segmented
            self._labelled[system.label] = make(system)
        return self._labelled[system.label]

    def _external(self, system: BaseSystem) -> Labelled:
        root = REPOSITORY / str(system.predictions)
        folder = PredictionFolder(root, self.dataset.num_classes, system.label_offset)
        digest = predictions_sha256(self.dataset, folder)
        key = f"{_slug(system.label)}-{self._key(digest, str(system.label_offset))}"
        return Labelled(system.label, folder, key, {}, {system.label: digest})

    def _segmented(self, system: BaseSystem) -> Labelled:
        model = load_segmentor(str(system.segmentor), self._device)
        key = f"{_slug(system.label)}-{self._key(model.checkpoint_sha256, model.name)}"
        folder = PredictionFolder(self._root / "base" / key, self.dataset.num_classes)
        self._timed(
            "segment", key, lambda tick: segment(self.dataset, model, folder, progress=tick)
        )
        return Labelled(system.label, folder, key, {system.label: model.checkpoint_sha256}, {})

    def refined(self, system: BaseSystem, vote: Vote) -> Labelled:
        """A base system's predictions refined by the masklets."""
        base, masklets = self.base(system), self.masklets
        settings = self.settings.refinement(vote)
        sources = (base.key, masklets.root.name, sha256_json(settings.model_dump(mode="json")))
        key = f"{_slug(system.label)}-{vote}-{self._key(*sources)}"
        out = PredictionFolder(self._root / "refined" / key, self.dataset.num_classes)
        self._timed(
            "refine",
            key,
            lambda tick: refine(
                self.dataset,
                base.folder,
                masklets,
                out,
                settings,
                device=self._device,
                progress=tick,
            ),
        )
        checkpoints = {**base.checkpoints, **self._sam2_checkpoint}
        name = f"SAM2-{system.label} ({vote} vote)"
        return Labelled(name, out, key, checkpoints, base.predictions_sha256)

    def evaluated(self, labelled: Labelled) -> Evaluated:
        """Metrics of predictions; frames are counted once, intervals drawn anew every time."""
        folder, dataset = labelled.folder, self.dataset
        made_from = {
            "predictions_sha256": predictions_sha256(self.dataset, folder),
            "label_offset": folder.label_offset,
            "data_sha256": self.data_sha256,
            "class_names": list(self.class_names),
            "stray_labels": self.settings.stray_labels,
            "protocol": PROTOCOL.id,
        }
        key = f"{labelled.key}-{sha256_json(made_from)[:_KEY]}"
        path = self._root / "metrics" / key / "metrics.json"

        def count(tick: Callable[[str], None]) -> int:
            if is_finished(path.parent, made_from):
                return len(dataset)
            suite = count_predictions(dataset, folder, device=self._device, progress=tick)
            suite.save(sums_path(path))
            mark_finished(path.parent, made_from)
            return 0

        self._timed("evaluate", key, count)
        suite = MetricSuite.load(sums_path(path))
        provenance = self.provenance(labelled.checkpoints, labelled.predictions_sha256)
        samples = self.settings.bootstrap_samples
        return Evaluated(folder, write_metrics(path, suite, provenance, samples=samples), suite)

    def provenance(
        self, checkpoints: dict[str, str] | None = None, predictions: dict[str, str] | None = None
    ) -> Provenance:
        """What numbers follow from: by default everything that the study has used so far."""
        used = list(self._labelled.values())
        if checkpoints is None:
            checkpoints = {**self._sam2_checkpoint, **_merged([b.checkpoints for b in used])}
        if predictions is None:
            predictions = _merged([b.predictions_sha256 for b in used])
        return collect_provenance(
            settings=self.settings.identity(),
            data_sha256=self.data_sha256,
            checkpoints=checkpoints,
            predictions=predictions,
            device=self._device,
            seed=self.settings.seed,
        )

    @property
    def _sam2_checkpoint(self) -> dict[str, str]:
        return {self.sam2.name: self.sam2.checkpoint_sha256}

    def _key(self, *parts: str) -> str:
        """Short hash of what a stage is made from, and of where its clips come from."""
        place = [str(self.dataset.root.resolve()), self.dataset.split]
        return sha256_json([place, parts])[:_KEY]

    def _timed(self, stage: str, key: str, work: Callable[[Callable[[str], None]], int]) -> None:
        """Run a stage with a progress bar over clips and log it."""
        total, started = len(self.dataset), time.perf_counter()
        with tqdm(total=total, desc=f"{stage} {key}", unit="clip", disable=None) as bar:

            def tick(_clip: str) -> None:
                bar.update()

            reused = work(tick)
        run = StageRun(stage, key, total, reused, time.perf_counter() - started)
        _log.info("%s %s: %d clips, %d reused, %.1f s", stage, key, total, reused, run.seconds)
        self.log.append(run)


def _merged(parts: list[dict[str, str]]) -> dict[str, str]:
    return {name: value for part in parts for name, value in part.items()}


def _slug(label: str) -> str:
    """A label as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label)
