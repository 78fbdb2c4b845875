"""What a study run will do: parameters of every notebook, and the masklets they share."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sam2vss_lib.datasets import GENERATED
from sam2vss_lib.datasets.demo import demo_root
from sam2vss_lib.errors import MissingExtra, Sam2VssError, SettingsError
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.plan import describe_plan
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.parallel.processes import map_in_processes, threads_each
from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray
from sam2vss_lib.study.run.runner import TIMED, notebook_parameters, plan_notebook
from sam2vss_lib.study.settings import StudySettings, make_settings
from sam2vss_lib.study.stages import Study

Plans = Mapping[Path, dict[str, Any]]


def plan_study(
    notebooks: Sequence[Path], profile: str, out: Path, overrides: dict[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Parameters of several notebooks; each is given those of the overrides that it has.

    Raises:
        SettingsError: an override that no notebook has, or a wrong value.
    """
    known = {notebook: notebook_parameters(notebook) for notebook in notebooks}
    every = dict.fromkeys(name for parameters in known.values() for name in parameters)
    if unknown := [name for name in overrides if name not in every]:
        there = ", ".join(every)
        raise SettingsError(f"no notebook has a parameter {unknown[0]!r}; there are: {there}")
    return {
        notebook: plan_notebook(
            notebook, profile, out, {k: v for k, v in overrides.items() if k in known[notebook]}
        )
        for notebook in notebooks
    }


def planned_settings(plans: Plans) -> Iterator[StudySettings]:
    """Settings of the notebooks that use a data set, those that only time things left out."""
    for notebook, given in plans.items():
        parameters = {**notebook_parameters(notebook), **given}
        if "dataset" in parameters and notebook.stem[:2] not in TIMED:
            yield make_settings(parameters)


def wanted_masklets(settings: StudySettings) -> list[MaskletSettings]:
    """Settings of the masklets that a notebook will ask for."""
    if settings.sweep is not None:
        return list(settings.masklet_sweep().values())
    return [settings.masklets] if settings.base_systems else []


class _Job(NamedTuple):
    """A clip's masklets of all settings that lack them."""

    settings: StudySettings
    wanted: tuple[MaskletSettings, ...]
    clip: int
    num_frames: int

    @property
    def cost(self) -> int:
        """Frames times settings."""
        return self.num_frames * len(self.wanted)


def share_masklets(
    plans: Plans, workers: int, say: Callable[[str], None], *, ray: str | None = None
) -> None:
    """Compute the masklets that notebooks will ask for, sharing work between all of them.

    An error is said and left to the notebooks, each of which meets it again by itself; only where
    Ray is asked for and not installed, nothing begins.
    Every worker, a process or one of the Ray cluster at the address `ray`, computes one clip at a
    time.

    Raises:
        MissingExtra: Ray is not installed.
    """
    fewest = 2 if workers == 1 and ray is None else 1  # nothing to share, nobody to share it with
    jobs: list[_Job] = []
    promised: set[Path] = set()  # files that one of the jobs will write
    for settings, wanted in _wanted_together(plans):
        if settings.dataset in GENERATED:
            demo_root(settings.dataset, workers)  # before anybody asks for it with one process
        if len(wanted) >= fewest:
            try:
                jobs += _jobs(settings, wanted, promised, say)
            except Sam2VssError as error:
                say(f"masklets in common: {error}")
    # the longest first, so that no process is left alone with one at the end
    jobs.sort(key=lambda job: -job.cost)
    try:
        for error in filter(None, _computed(jobs, workers, ray)):
            say(f"masklets in common: {error}")
    except MissingExtra:
        raise  # no notebook would meet it again
    except Sam2VssError as error:
        say(f"masklets in common: {error}")


def _wanted_together(plans: Plans) -> list[tuple[StudySettings, list[MaskletSettings]]]:
    """All masklets that are wanted of the same clips and model, and settings that say which.

    Many of few clips come first: the few of many clips then find theirs promised.
    """
    alike = defaultdict[tuple[object, ...], list[StudySettings]](list)
    for one in planned_settings(plans):
        clips = (one.dataset, one.split, one.max_clips)
        alike[(*clips, one.checkpoint, one.device, one.precision)].append(one)
    found = [
        (group[0], list(dict.fromkeys(m for one in group for m in wanted_masklets(one))))
        for group in alike.values()
    ]
    return sorted(found, key=lambda group: -len(group[1]))


def _computed(jobs: Sequence[_Job], workers: int, ray: str | None) -> Iterable[str | None]:
    """Do the jobs; of each what went wrong."""
    if ray is None:
        work = partial(_compute, threads=threads_each(workers))
        return map_in_processes(work, jobs, workers=workers, what="masklets")
    return map_on_ray(
        partial(partial, _compute, threads=1),
        jobs,
        RayPool(address=ray, gpu=True),
        costs=[job.cost for job in jobs],
        names=[f"clip {job.clip + 1}" for job in jobs],
        what="masklets",
        unit="frame",
    )


def _jobs(
    settings: StudySettings,
    wanted: list[MaskletSettings],
    promised: set[Path],
    say: Callable[[str], None],
) -> list[_Job]:
    """What one group of settings lacks on its data set; their files are added to `promised`."""
    study = Study(settings)
    folders = study.masklet_folders(wanted, study.dataset)
    jobs: list[_Job] = []
    for index, clip in enumerate(study.dataset):
        paths = {one: MaskletStore(folder).path(clip.name) for one, folder in folders.items()}
        # those that are there are checked by the notebooks that read them
        lacking = {s: p for s, p in paths.items() if p not in promised and not p.is_file()}
        promised.update(lacking.values())
        if lacking:
            jobs.append(_Job(settings, tuple(lacking), index, clip.num_frames))
    say(describe_plan([job.num_frames for job in jobs], wanted))
    if len(jobs) < len(study.dataset):
        say(f"  {len(study.dataset) - len(jobs)} more clips are there, or in the plan above")
    return jobs


def _compute(job: _Job, threads: int) -> str | None:
    """What one process does for one clip; returns what went wrong, as errors need not pickle."""
    torch.set_num_threads(threads)
    try:
        study = opened_study(job.settings)
        clip = replace(study.dataset, clips=study.dataset.clips[job.clip : job.clip + 1])
        generate_shared(clip, study.sam2, study.masklet_folders(job.wanted, clip))
    except Sam2VssError as error:
        return str(error)
    return None


@lru_cache(maxsize=1)
def opened_study(settings: StudySettings) -> Study:
    """A study whose models and labels stay known to a process for its next job."""
    return Study(settings)
