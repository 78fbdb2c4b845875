"""Labels and metrics that notebooks will ask for, computed by all processes before they run."""

import os
from contextlib import suppress
from functools import lru_cache, partial
from typing import NamedTuple

import torch

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.parallel.processes import map_in_processes
from sam2vss_lib.study.run.planning import Plans, planned_settings, wanted_masklets
from sam2vss_lib.study.settings import BaseSystem, StudySettings
from sam2vss_lib.study.stages import Study


class _Job(NamedTuple):
    """A base system and masklets to refine it with."""

    settings: StudySettings
    system: BaseSystem
    masklets: MaskletSettings


def share_labels(plans: Plans, workers: int) -> None:
    """Segment, refine and evaluate what notebooks will ask for, whose masklets are there.

    Notebooks then find it, and each is left with what is its own; errors are left to them, too.
    With one process there is nobody to share the work with, and nothing is done.
    """
    jobs: list[_Job] = []
    alike = set[tuple[object, ...]]()
    for settings in planned_settings(plans):
        clips = (settings.dataset, settings.split, settings.max_clips, settings.checkpoint)
        for system in settings.base_systems:
            for masklets in wanted_masklets(settings):
                job = (*clips, system, masklets, settings.votes)
                if job not in alike:
                    alike.add(job)
                    jobs.append(_Job(settings, system, masklets))
    if workers == 1 or not jobs:
        return
    work = partial(_compute, threads=max(1, (os.cpu_count() or 1) // workers))
    for _ in map_in_processes(work, jobs, workers=workers, what="labels"):
        pass


def _compute(job: _Job, threads: int) -> None:
    """What one process does."""
    torch.set_num_threads(threads)
    with suppress(Sam2VssError):
        study = _opened(job.settings)
        if study.why_not(job.system) is None:
            study.evaluated(study.base(job.system))
            masklets = study.masklets_for([job.masklets])[job.masklets]
            for vote in job.settings.votes:
                study.evaluated(study.refined(job.system, vote, masklets))


@lru_cache(maxsize=1)
def _opened(settings: StudySettings) -> Study:
    """A study whose models and base predictions stay known for its next job."""
    return Study(settings)
