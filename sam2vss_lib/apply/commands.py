"""The commands of the single stages that one `sam2vss apply` stands for."""

import shlex
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from sam2vss_lib.apply.job import Job
from sam2vss_lib.apply.source import Source
from sam2vss_lib.datasets import Dataset
from sam2vss_lib.predictions.folder import PredictionFolder


def commands(job: Job, source: Source, dataset: Dataset, base: PredictionFolder) -> Iterator[str]:
    """The commands in their order; settings at their defaults are left out."""
    root = str(job.data) if source.converted else job.source
    data: dict[str, Any] = {"dataset": root, "split": job.split}
    if not source.converted:
        data["max_clips"] = job.max_clips
    on = {"device": None if job.device == "auto" else job.device}
    classes = {"num_classes": dataset.num_classes if dataset.class_names is None else None}
    if source.converted:
        options = {"clip": source.name, "split": job.split, "max_frames": job.max_frames}
        yield _command(f"data convert video {shlex.join([job.source, root])}", options)
    objects = {"config": job.config, "max_objects_per_batch": job.max_objects_per_batch}
    masklets = {**data, "checkpoint": job.checkpoint, **_changed(job.masklets), **objects, **on}
    yield _command("masklets", {**masklets, "out": job.store})
    if job.model is not None:
        model = {"model": job.model, "classes": job.classes}
        yield _command("segment", {**data, **model, **on, "out": job.base})
    offset = {"label_offset": job.label_offset or None}
    refine = {**data, **classes, "predictions": base.root, **offset, "masklets": job.store}
    yield _command("refine", {**refine, **_changed(job.refinement), **on, "out": job.refined})
    if any(clip.has_ground_truth for clip in dataset):
        truth: dict[str, Any] = {**classes, "mask_offset": job.mask_offset}
        truth["stray_labels"] = None if job.stray_labels == "error" else job.stray_labels
        for name, folder in (("base", base.root), ("refined", job.refined)):
            evaluate = {**data, **truth, "predictions": folder, **offset, **on}
            yield _command("evaluate", {**evaluate, "out": job.metrics(name)})


def _changed(settings: BaseModel) -> dict[str, Any]:
    """Settings that are not at their defaults."""
    defaults = type(settings)()
    return {
        name: value
        for name in type(settings).model_fields
        if (value := getattr(settings, name)) != getattr(defaults, name)
    }


def _command(name: str, options: dict[str, Any]) -> str:
    """A command line; options that are None or False are left out."""
    words = [
        f"--{option.replace('_', '-')}" + ("" if value is True else f" {shlex.quote(str(value))}")
        for option, value in options.items()
        if value is not None and value is not False
    ]
    return " ".join((f"sam2vss {name}", *words))
