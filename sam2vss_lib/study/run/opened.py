"""Stages of a study as the work of jobs, done in whichever process is free."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.storage.files import sha256_json, write_text
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.analyses.beyond.study import BeyondStudy
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.settings import BeyondSettings, IndependentSettings, StudySettings
from sam2vss_lib.study.stages import Study


@dataclass(frozen=True)
class StageWork:
    """Work that calls a stage with a study, for a process that is free."""

    name: Hashable  # the same for the same work in any run, with a `repr` that says all of it
    settings: StudySettings  # of the study
    threads: int
    stage: Callable[..., bool]  # returns whether it could be done
    arguments: tuple[Any, ...]

    def __call__(self) -> str | None:
        """Do it; returns what went wrong, in one line, as errors need not pickle.

        Studies stay open in a process for its next job, with their models.
        """
        torch.set_num_threads(self.threads)
        try:
            if self.stage(opened_study(self.settings), *self.arguments):
                write_text(self._done, repr(self.name))
        except Sam2VssError as error:
            return str(error)
        return None

    @property
    def was_done(self) -> bool:
        """Whether an earlier run has done it.

        Nobody relies on it: notebooks look at every file themselves, and make what is missing.
        """
        return self._done.is_file()

    @property
    def _done(self) -> Path:
        """A note that it was done."""
        return PROJECT / self.settings.stages_dir / "jobs" / sha256_json(repr(self.name))


@lru_cache(maxsize=1)
def opened_study(settings: StudySettings) -> Study:
    """A study whose models and labels stay known to the process."""
    match settings:
        case IndependentSettings():
            return IndependentStudy(settings)
        case BeyondSettings():
            return BeyondStudy(settings)
        case _:
            return Study(settings)
