"""What a study run will do: parameters of every notebook, and the masklets they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from sam2vss_lib.errors import Sam2VssError, SettingsError
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.plan import describe_plan
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.study.runner import TIMED, notebook_parameters, plan_notebook
from sam2vss_lib.study.settings import StudySettings, make_settings
from sam2vss_lib.study.stages import Study

Plans = Mapping[Path, dict[str, Any]]


def plan_study(
    notebooks: Sequence[Path], profile: str, out: Path, overrides: dict[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Parameters of several notebooks; each is given those of the overrides that it has.

    Args:
        notebooks: to be run, in order.
        profile: name of the profile.
        out: results root.
        overrides: parameters by name.

    Raises:
        SettingsError: an override that no notebook has, or a wrong value.
    """
    known = {notebook: notebook_parameters(notebook) for notebook in notebooks}
    for name in overrides:
        if not any(name in parameters for parameters in known.values()):
            every = ", ".join(dict.fromkeys(n for parameters in known.values() for n in parameters))
            raise SettingsError(f"no notebook has a parameter {name!r}; there are: {every}")
    return {
        notebook: plan_notebook(
            notebook, profile, out, {k: v for k, v in overrides.items() if k in known[notebook]}
        )
        for notebook in notebooks
    }


def wanted_masklets(settings: StudySettings) -> list[MaskletSettings]:
    """Settings of the masklets that a notebook will ask for."""
    if settings.sweep is not None:
        return list(settings.masklet_sweep().values())
    return [settings.masklets] if settings.base_systems else []


def share_masklets(plans: Plans, workers: int, say: Callable[[str], None]) -> None:
    """Compute the masklets that notebooks will ask for, sharing work between all of them.

    An error is said and left to the notebooks, each of which meets it again by itself.

    Args:
        plans: of `plan_study`.
        workers: processes, each of which computes one clip at a time.
        say: takes lines for the user.
    """
    groups: dict[tuple[object, ...], dict[MaskletSettings, None]] = {}
    examples: dict[tuple[object, ...], StudySettings] = {}
    for notebook, given in plans.items():
        parameters = {**notebook_parameters(notebook), **given}
        if "dataset" not in parameters or notebook.stem[:2] in TIMED:
            continue
        settings = make_settings(parameters)
        place = (settings.dataset, settings.split, settings.max_clips)
        key = (*place, settings.checkpoint, settings.device, settings.precision)
        examples.setdefault(key, settings)
        groups.setdefault(key, {}).update(dict.fromkeys(wanted_masklets(settings)))
    # many settings on few clips first: the few on many clips then find theirs done
    for key, wanted in sorted(groups.items(), key=lambda item: -len(item[1])):
        if len(wanted) < (2 if workers == 1 else 1):
            continue  # nothing to share, and nobody to share it with
        try:
            _compute(examples[key], list(wanted), workers, say)
        except Sam2VssError as error:
            say(f"masklets in common: {error}")


def _compute(
    settings: StudySettings,
    wanted: list[MaskletSettings],
    workers: int,
    say: Callable[[str], None],
) -> None:
    """One group of settings on one data set, clip by clip."""
    study = Study(settings)
    folders = study.masklet_folders(wanted, study.dataset).values()
    # those that are there are checked by the notebooks that read them
    missing = [
        index
        for index, clip in enumerate(study.dataset)
        if not all(MaskletStore(folder).path(clip.name).is_file() for folder in folders)
    ]
    say(describe_plan([study.dataset.clips[i].num_frames for i in missing], wanted))
    if len(missing) < len(study.dataset):
        say(f"  {len(study.dataset) - len(missing)} more clips are reused")
    if not missing:
        return
    if workers == 1:
        study.masklets_for(wanted)
        return
    # fresh interpreters, as notebooks have, that share the processor's threads
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = [pool.submit(_compute_clip, settings, wanted, clip, workers) for clip in missing]
        for error in filter(None, (one.result() for one in done)):
            say(f"masklets in common: {error}")


def _compute_clip(
    settings: StudySettings, wanted: list[MaskletSettings], index: int, workers: int
) -> str | None:
    """What one process does for one clip; returns what went wrong, as errors need not pickle."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    try:
        study = Study(settings)
        clip = replace(study.dataset, clips=study.dataset.clips[index : index + 1])
        generate_shared(clip, study.sam2, study.masklet_folders(wanted, clip))
    except Sam2VssError as error:
        return str(error)
    return None
