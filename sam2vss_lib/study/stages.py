"""The computations that notebooks share, each kept on disk under a name that says what made it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sam2vss_lib.datasets import Dataset, PredictionFolder, open_dataset
from sam2vss_lib.files import sha256_json
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import PROTOCOL, MetricSuite
from sam2vss_lib.records import is_finished, mark_finished, sha256_files
from sam2vss_lib.refinement import Vote, refine
from sam2vss_lib.segmentors import load_segmentor, segment
from sam2vss_lib.study.evaluation import count_predictions, read_metrics, sums_path, write_metrics
from sam2vss_lib.study.provenance import REPOSITORY, Provenance, collect_provenance
from sam2vss_lib.study.settings import BaseSystem, StudySettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageRun:
    """One line of the stage log: what was done and how much of it was there already."""

    stage: str
    key: str
    clips: int
    reused: int
    seconds: float


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

    Args:
        settings: of the notebook.
    """

    def __init__(self, settings: StudySettings) -> None:
        self.settings = settings
        self.log: list[StageRun] = []
        self._root = REPOSITORY / settings.stages_dir
        self._device = settings.torch_device

    @cached_property
    def dataset(self) -> Dataset:
        """The clips of the study."""
        settings = self.settings
        opened = open_dataset(settings.dataset, settings.split, stray_labels=settings.stray_labels)
        return opened.take(settings.max_clips)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their numbers where the data set has no class list."""
        names = self.dataset.class_names
        return names or tuple(str(index) for index in range(self.dataset.num_classes))

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
        key = f"{settings.sha256()[:10]}-{model.checkpoint_sha256[:10]}"
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
        if system.predictions is not None and not Path(system.predictions).is_dir():
            return f"no predictions at {system.predictions}"
        return None

    def base(self, system: BaseSystem) -> PredictionFolder:
        """Predictions of a base system, made here or read from where they are.

        Raises:
            DataError: they are missing or cannot be used.
        """
        classes = self.dataset.num_classes
        if system.segmentor is None:
            folder = Path(str(system.predictions))
            return PredictionFolder(folder, classes, system.label_offset)
        model = load_segmentor(system.segmentor, self._device)
        key = f"{_slug(system.label)}-{model.checkpoint_sha256[:10]}"
        out = PredictionFolder(self._root / "base" / key, classes)
        self._timed("segment", key, lambda tick: segment(self.dataset, model, out, progress=tick))
        return out

    def refined(self, system: BaseSystem, vote: Vote) -> PredictionFolder:
        """A base system's predictions refined by the masklets."""
        base, masklets = self.base(system), self.masklets
        settings = self.settings.refinement(vote)
        sources = {
            "base": str(base.root),
            "masklets": masklets.root.name,
            "settings": settings.model_dump(mode="json"),
        }
        key = f"{_slug(system.label)}-{vote}-{sha256_json(sources)[:10]}"
        out = PredictionFolder(self._root / "refined" / key, self.dataset.num_classes)
        self._timed(
            "refine",
            key,
            lambda tick: refine(
                self.dataset, base, masklets, out, settings, device=self._device, progress=tick
            ),
        )
        return out

    def evaluated(self, predictions: PredictionFolder) -> Evaluated:
        """Metrics of predictions, counted once."""
        key = f"{predictions.root.parent.name}-{predictions.root.name}"
        folder = self._root / "metrics" / key
        clips = self.dataset.clips
        made_from = {
            "predictions_sha256": sha256_files(
                predictions.path(clip, frame) for clip in clips for frame in range(clip.num_frames)
            ),
            "data_sha256": self.data_sha256,
            "protocol": PROTOCOL.id,
            "bootstrap": [self.settings.bootstrap_samples, self.settings.seed],
        }
        path = folder / "metrics.json"

        def evaluate(tick: Callable[[str], None]) -> int:
            if is_finished(folder, made_from):
                return len(clips)
            suite = count_predictions(self.dataset, predictions, device=self._device, progress=tick)
            samples = self.settings.bootstrap_samples
            write_metrics(path, suite, self.provenance(), samples=samples)
            mark_finished(folder, made_from)
            return 0

        self._timed("evaluate", key, evaluate)
        return Evaluated(predictions, read_metrics(path), MetricSuite.load(sums_path(path)))

    def provenance(self) -> Provenance:
        """What the study's numbers follow from."""
        return collect_provenance(
            settings=self.settings.identity(),
            data_sha256=self.data_sha256,
            checkpoints={self.sam2.name: self.sam2.checkpoint_sha256},
            device=self._device,
            seed=self.settings.seed,
        )

    def _timed(self, stage: str, key: str, work: Callable[[Callable[[str], None]], int]) -> None:
        """Run a stage with a progress bar over clips and log it, once per stage and key."""
        if any((run.stage, run.key) == (stage, key) for run in self.log):
            return
        total, started = len(self.dataset.clips), time.perf_counter()
        with tqdm(total=total, desc=f"{stage} {key}", unit="clip", disable=None) as bar:

            def tick(_clip: str) -> None:
                bar.update()

            reused = work(tick)
        run = StageRun(stage, key, total, reused, time.perf_counter() - started)
        _log.info("%s %s: %d clips, %d reused, %.1f s", stage, key, total, reused, run.seconds)
        self.log.append(run)


def _slug(label: str) -> str:
    """A label as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label)
