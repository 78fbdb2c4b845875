"""Stages of a study as the work of jobs, done in whichever process is free."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.settings import IndependentSettings, StudySettings
from sam2vss_lib.study.stages import Study


def stage_work(
    settings: StudySettings, threads: int, stage: Callable[..., Any], *arguments: Any
) -> Callable[[], str | None]:
    """Work that calls `stage` with a study of these settings and the arguments.

    It returns what went wrong, in one line, as errors need not pickle. Studies stay open in a
    process for its next job, with their models.
    """
    return partial(_work, settings, threads, stage, arguments)


def _work(
    settings: StudySettings, threads: int, stage: Callable[..., Any], arguments: tuple[Any, ...]
) -> str | None:
    torch.set_num_threads(threads)
    try:
        stage(opened_study(settings), *arguments)
    except Sam2VssError as error:
        return str(error)
    return None


@lru_cache(maxsize=1)
def opened_study(settings: StudySettings) -> Study:
    """A study whose models and labels stay known to the process."""
    kind = IndependentStudy if isinstance(settings, IndependentSettings) else Study
    return kind(settings)
