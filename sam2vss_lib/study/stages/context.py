"""What all stages of a study need: its data set and SAM2 model, opened once, and a log of work."""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tqdm import tqdm

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.storage.files import held, read_json, sha256_file, sha256_json, write_json
from sam2vss_lib.storage.places import PROJECT, manifest_path
from sam2vss_lib.study.settings import NotebookSettings, StudySettings
from sam2vss_lib.study.settings.paths import path_from, weights_from
from sam2vss_lib.study.stages.provenance import Provenance, collect_provenance

_log = logging.getLogger(__name__)
Progress = Callable[[str], None]  # is told the name of every clip that is done
Work = Callable[..., int]  # takes `progress`, returns how many clips were there already
KEY_DIGITS = 10  # digits of a hash in a folder's name


@dataclass(frozen=True)
class StageRun:
    """One line of the stage log: what was done and how much of it was there already."""

    stage: str
    key: str
    clips: int
    reused: int
    seconds: float


class PaperStudy:
    """What a notebook about the paper alone works on: its printed numbers, no data or model."""

    def __init__(self, settings: NotebookSettings) -> None:
        self.settings = settings
        self.log: list[StageRun] = []

    def provenance(self) -> Provenance:
        """The hash of the printed numbers stands for the data."""
        printed = sha256_file(manifest_path("paper_tables.csv"))
        return collect_provenance(settings=self.settings.identity(), data_sha256=printed)


def open_split(settings: StudySettings, split: str) -> Dataset:
    """A split of the data set that the settings name, generated or at a place."""
    return open_dataset(
        path_from(settings.dataset, PROJECT),
        split,
        mask_offset=settings.mask_offset,
        stray_labels=settings.stray_labels,
    )


class StudyContext:
    """What the stages of one study work with and on.

    Relative paths in the settings start at the project's folder.
    """

    def __init__(self, settings: StudySettings) -> None:
        self.settings = settings
        self.log: list[StageRun] = []
        self.root = PROJECT / settings.stages_dir
        self.device = settings.torch_device
        self._checkpoints: dict[str, str] = {}
        self._predictions: dict[str, str] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """The clips that the study measures on."""
        return open_split(self.settings, self.settings.split).take(self.settings.max_clips)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their numbers where the data set has no class list."""
        names = self.dataset.class_names
        return names or tuple(str(index) for index in range(self.dataset.num_classes))

    @property
    def status(self) -> str:
        """What a row that was run was run on."""
        name = f"{self.settings.dataset} {self.dataset.split}"
        frames = sum(clip.num_frames for clip in self.dataset)
        annotated = sum(len(clip.annotated) for clip in self.dataset)
        share = "" if annotated == frames else f", {annotated} of {frames} frames annotated"
        return f"run on {len(self.dataset)} clips of {name}{share}"

    @cached_property
    def data_sha256(self) -> str:
        """Hash of all frames and masks in use."""
        return self.dataset.content_sha256()

    @cached_property
    def sam2(self) -> Sam2Model:
        """The SAM2 model."""
        return load_sam2(weights_from(self.settings.checkpoint, PROJECT), device=self.device)

    def uses(self, checkpoints: dict[str, str], predictions: dict[str, str]) -> None:
        """Remember what the study's numbers follow from, for `provenance`."""
        self._checkpoints |= checkpoints
        self._predictions |= predictions

    def provenance(
        self, checkpoints: dict[str, str] | None = None, predictions: dict[str, str] | None = None
    ) -> Provenance:
        """What numbers follow from: by default everything that the study has used so far."""
        return collect_provenance(
            settings=self.settings.identity(),
            data_sha256=self.data_sha256,
            checkpoints=self._checkpoints if checkpoints is None else checkpoints,
            predictions=self._predictions if predictions is None else predictions,
            device=self.device,
            seed=self.settings.seed,
        )

    @property
    def sam2_checkpoint(self) -> dict[str, str]:
        """Hash of the SAM2 weights, by name."""
        return {self.sam2.name: self.sam2.checkpoint_sha256}

    def key(self, *parts: str, dataset: Dataset | None = None) -> str:
        """Short hash of what a stage is made from, and of where its clips come from."""
        dataset = dataset or self.dataset
        place = [str(dataset.root.resolve()), dataset.split]
        return sha256_json([place, parts])[:KEY_DIGITS]

    def timed(
        self,
        stage: str,
        key: str,
        work: Work,
        dataset: Dataset | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Run a stage with a progress bar over clips and log it.

        Notebooks that run at the same time share the clips of a stage, by default all of the
        study; for one that is made as a whole they wait for each other here.
        """
        total, started = len(dataset or self.dataset), time.perf_counter()
        lock = self.root / "locks" / f"{stage}-{key}".replace(" ", "_")
        with (
            held(lock) if whole else nullcontext(),
            tqdm(total=total, desc=f"{stage} {key}", unit="clip", disable=None) as bar,
        ):

            def advance(_clip: str) -> None:
                bar.update()

            reused = work(progress=advance)
        run = StageRun(stage, key, total, reused, time.perf_counter() - started)
        _log.info("%s %s: %d clips, %d reused, %.1f s", stage, key, total, reused, run.seconds)
        self.log.append(run)

    def kept_values(
        self,
        stage: str,
        folder: str,
        key: str,
        make: Callable[[Progress], Any],
        dataset: Dataset | None = None,
    ) -> Any:
        """What a stage has made as a whole, JSON-able values in one file; logged as in `timed`."""
        path = self.root / folder / f"{key}.json"

        def work(*, progress: Progress) -> int:
            if path.is_file():
                return len(dataset or self.dataset)
            write_json(path, make(progress))
            return 0

        self.timed(stage, key, work, dataset, whole=True)
        return read_json(path)
