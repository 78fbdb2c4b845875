"""From nothing to a refined clip: what is here, and the stages of the study on one clip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sam2vss_lib.datasets import Dataset, open_dataset, open_frames
from sam2vss_lib.datasets.converting.video import convert_video
from sam2vss_lib.datasets.demo import cache_folder
from sam2vss_lib.datasets.labels import MAX_CLASSES
from sam2vss_lib.datasets.layout import is_root
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import check_predictions
from sam2vss_lib.segmentors.registry import DEMO_MODELS, load_segmentor
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.storage.places import GENERATED, PROJECT
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.tables import gains_between
from sam2vss_lib.study.run.doctor import examine
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.study.settings.paths import model_from, path_from
from sam2vss_lib.study.settings.quick_start import QuickStartSettings
from sam2vss_lib.study.stages import Study

_DATA = {"vspw": "VSPW_480p", "vipseg": "VIPSeg"}  # folders below data/ that profiles name


def what_is_there() -> pd.DataFrame:
    """What this machine has for a refinement, and the command for what is missing, a line each."""
    return pd.DataFrame(_found(), columns=["what", "here", "if you want it"])


def _found() -> Iterator[tuple[str, str, str]]:
    facts = examine()
    yield "processors", "; ".join(facts["devices"]), ""
    room = f"{facts['disk_free_mib'] / 1024:.0f} GiB free"
    yield "disk", f"{room}; generated data is kept in {facts['cache_folder']}", ""
    yield "base models that are embedded", ", ".join(DEMO_MODELS), ""
    for name, present in facts["checkpoints"].items():
        command = "" if present else f"sam2vss checkpoints fetch {name}"
        yield f"SAM2 checkpoint {name}", "yes" if present else "no", command
    generated = any(cache_folder().glob("demo-val-r*"))
    yield "demo clips", "yes" if generated else "made on first use", ""
    for name, folder in _DATA.items():
        place = PROJECT / "data" / folder
        command = "" if place.is_dir() else f"sam2vss data fetch {name} --out {place}"
        yield f"data set {name.upper()}", "yes" if place.is_dir() else "no", command


class QuickStudy(Study):
    """The stages of the study on one clip, whose classes are those of its predictions."""

    def __init__(self, settings: StudySettings, dataset: Dataset) -> None:
        super().__init__(settings)
        self.__dict__["dataset"] = dataset  # instead of the one that the settings would open

    def rows(self) -> list[Row]:
        """The base system and its refinements, with metrics; none without ground truth."""
        (system,) = self.settings.base_systems
        base = self.base(system)
        refined = {vote: self.refined(system, vote) for vote in self.settings.votes}
        if not all(clip.has_ground_truth for clip in self.dataset):
            return []
        before = self.evaluated(base)
        rows = [Row(method=system.label, ours=before.metrics["metrics"], evaluated=before)]
        for vote, labelled in refined.items():
            after = self.evaluated(labelled)
            rows.append(
                Row(
                    method=f"SAM2-{system.label} ({vote} vote)",
                    ours=after.metrics["metrics"],
                    gains=gains_between(self.settings, before, after),
                    reference=rows[0].name,
                    evaluated=after,
                )
            )
        return rows


def quick_study(settings: QuickStartSettings) -> QuickStudy:
    """Open the clip that the settings name, and say how it is predicted and refined.

    Raises:
        DataError: the source, predictions or weights are missing or cannot be used.
        SettingsError: a setting cannot be used, or the number of classes is not known.
    """
    if settings.predictions:
        source: dict[str, Any] = {"predictions": settings.predictions}
        name = Path(settings.predictions).name
    else:
        source, name = {"segmentor": settings.model}, settings.model.partition(":")[0]
    dataset = _opened(settings)
    if settings.predictions:  # before masklets are made
        folder = PROJECT / os.path.expanduser(settings.predictions)
        check_predictions(PredictionFolder(folder, dataset.num_classes), dataset.clips[0])
    # masklets of fewer frames are others
    of_some = f"first_{settings.max_frames}" if settings.max_frames else ""
    study = StudySettings.model_validate(
        {
            "profile": settings.profile,
            "out_dir": settings.out_dir,
            "stages_dir": str(Path(settings.stages_dir) / of_some),
            "dataset": settings.source if settings.source in GENERATED else str(dataset.root),
            "split": dataset.split,
            "checkpoint": settings.checkpoint,
            "votes": ("frame", "masklet"),
            "base_systems": [{"method": name, "backbone": "", **source}],
        }
    )
    return QuickStudy(study, dataset)


def _opened(settings: QuickStartSettings) -> Dataset:
    """The clip of a source; frames that are made are written beside the other computations."""
    located = path_from(settings.source, PROJECT)
    source, most = Path(located), settings.max_frames
    if located in GENERATED or is_root(source, "val"):
        dataset = open_dataset(located, "val")
    elif source.is_dir() and settings.height_px is None:  # images are read where they are
        dataset = open_frames(source, num_classes=_classes(settings))
    else:
        height_px = settings.height_px
        key = sha256_json([str(source.resolve()), most, height_px])[:10]
        root = PROJECT / settings.stages_dir / "frames" / key
        convert_video(source, root, max_frames=most, height_px=height_px)
        dataset = open_dataset(root, "val", num_classes=_classes(settings))
    clip = dataset.clip(settings.clip or dataset.clips[0].name)
    clip = replace(clip, frame_files=clip.frame_files[:most], mask_files=clip.mask_files[:most])
    return replace(dataset, clips=(clip,))


def _classes(settings: QuickStartSettings) -> int:
    """How many classes the labels of a source without a class list have."""
    if settings.predictions:
        return settings.num_classes or MAX_CLASSES
    return load_segmentor(model_from(settings.model, PROJECT)).num_classes


def quick_table(study: QuickStudy, rows: Sequence[Row]) -> pd.DataFrame:
    """What came of it: metrics where there is ground truth, else the share of changed pixels."""
    if rows:
        return pd.DataFrame([{"": row.label, **row.ours} for row in rows])
    (system,), (clip,) = study.settings.base_systems, study.dataset
    base = study.base(system).folder
    lines: list[dict[str, Any]] = []
    for vote in study.settings.votes:
        folder = study.refined(system, vote).folder
        shares = [
            float((base.read(clip, i) != folder.read(clip, i)).mean())
            for i in range(clip.num_frames)
        ]
        lines.append(
            {
                "vote": vote,
                "changed pixels (%)": 100 * sum(shares) / len(shares),
                "refined labels": str(folder.root / clip.name),
            }
        )
    return pd.DataFrame(lines)
