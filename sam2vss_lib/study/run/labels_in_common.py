"""Labels and metrics that notebooks will ask for, computed by all processes before they run."""

from contextlib import suppress
from functools import partial
from typing import NamedTuple

import torch

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.parallel.processes import map_in_processes, threads_each
from sam2vss_lib.study.run.planning import (
    Plans,
    opened_study,
    planned_settings,
    wanted_masklets,
)
from sam2vss_lib.study.settings import BaseSystem, StudySettings


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
    if workers == 1:
        return
    jobs: dict[tuple[object, ...], _Job] = {}  # by what is the same in several notebooks
    for settings in planned_settings(plans):
        clips = (settings.dataset, settings.split, settings.max_clips, settings.checkpoint)
        for system in settings.base_systems:
            for masklets in wanted_masklets(settings):
                key = (*clips, system, masklets, settings.votes)
                jobs.setdefault(key, _Job(settings, system, masklets))
    work = partial(_compute, threads=threads_each(workers))
    with suppress(Sam2VssError):  # a process was killed
        list(map_in_processes(work, [*jobs.values()], workers=workers, what="labels"))


def _compute(job: _Job, threads: int) -> None:
    """What one process does."""
    torch.set_num_threads(threads)
    with suppress(Sam2VssError):
        study = opened_study(job.settings)
        if study.why_not(job.system) is None:
            study.evaluated(study.base(job.system))
            masklets = study.masklets_for([job.masklets])[job.masklets]
            for vote in job.settings.votes:
                study.evaluated(study.refined(job.system, vote, masklets))
