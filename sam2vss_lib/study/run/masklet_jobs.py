"""Masklets that notebooks will ask for, each of which is computed once for all of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sam2vss_lib.datasets import GENERATED
from sam2vss_lib.datasets.demo import demo_root
from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.plan import describe_plan, planned_work
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.parallel.job_graph import Job
from sam2vss_lib.study.run.opened import StageWork, opened_study
from sam2vss_lib.study.run.planning import wanted_masklets
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.study.stages import Study

#: kind of these jobs
MASKLETS = "masklets in common"


@dataclass
class MaskletJobs:
    """Jobs of one clip each, with all settings of masklets that lack it."""

    jobs: list[Job] = field(default_factory=list)
    promised: dict[Path, str] = field(default_factory=dict)  # by file, the job that will write it

    def needed(self, study: Study, wanted: Iterable[MaskletSettings]) -> frozenset[str]:
        """Names of the jobs that make some masklets of all clips of a study."""
        if not self.promised:
            return frozenset()
        folders = study.masklet_folders([*wanted], study.dataset).values()
        paths = (MaskletStore(folder).path(c.name) for folder in folders for c in study.dataset)
        return frozenset(self.promised[path] for path in paths if path in self.promised)


def masklet_jobs(
    settings: Iterable[StudySettings],
    *,
    processes: int,
    threads: int,
    fewest: int,
    say: Callable[[str], None],
) -> MaskletJobs:
    """Jobs that make the masklets of notebooks, whose plan is said.

    An error is said and left to the notebooks, each of which meets it again by itself. Masklets of
    less than `fewest` settings on the same clips are left to them, too.
    """
    found = MaskletJobs()
    for one, wanted in _wanted_together(settings):
        if one.dataset in GENERATED:
            demo_root(one.dataset, processes)  # before anybody asks for it with one process
        if len(wanted) >= fewest:
            try:
                _add(found, one, wanted, threads, say)
            except Sam2VssError as error:
                say(f"{MASKLETS}: {error}")
    return found


def _wanted_together(
    settings: Iterable[StudySettings],
) -> list[tuple[StudySettings, list[MaskletSettings]]]:
    """All masklets that are wanted of the same clips and model, and settings that say which.

    Many of few clips come first: the few of many clips then find theirs promised.
    """
    alike = defaultdict[tuple[object, ...], list[StudySettings]](list)
    for one in settings:
        clips = (one.dataset, one.split, one.max_clips)
        alike[(*clips, one.checkpoint, one.device, one.precision)].append(one)
    found = [
        (group[0], list(dict.fromkeys(m for one in group for m in wanted_masklets(one))))
        for group in alike.values()
    ]
    return sorted(found, key=lambda group: -len(group[1]))


def _add(
    found: MaskletJobs,
    settings: StudySettings,
    wanted: list[MaskletSettings],
    threads: int,
    say: Callable[[str], None],
) -> None:
    """Add what one group of settings lacks on its data set."""
    study = opened_study(settings)
    folders = study.masklet_folders(wanted, study.dataset)
    lengths: list[int] = []
    for index, clip in enumerate(study.dataset):
        paths = {one: MaskletStore(folder).path(clip.name) for one, folder in folders.items()}
        # those that are there are checked by the notebooks that read them
        lacking = {s: p for s, p in paths.items() if p not in found.promised and not p.is_file()}
        if lacking:
            name = f"masklets {len(found.jobs) + 1}"
            found.promised.update(dict.fromkeys(lacking.values(), name))
            lengths.append(clip.num_frames)
            work = StageWork(
                (settings, index, *lacking), settings, threads, _generate, (index, tuple(lacking))
            )
            cost = _seconds(clip.num_frames, [*lacking])
            found.jobs.append(Job(name, MASKLETS, work, cost))
    say(describe_plan(lengths, wanted))
    if len(lengths) < len(study.dataset):
        say(f"  {len(study.dataset) - len(lengths)} more clips are there, or in the plan above")


def _seconds(num_frames: int, wanted: list[MaskletSettings]) -> float:
    """About what a core takes for the demo, for the order of jobs and the time left."""
    return (
        num_frames * (0.15 + 0.02 * len(wanted)) + 1e-3 * planned_work([num_frames], wanted).prompts
    )


def _generate(study: Study, clip: int, wanted: tuple[MaskletSettings, ...]) -> bool:
    """What one job does."""
    own = replace(study.dataset, clips=study.dataset.clips[clip : clip + 1])
    generate_shared(own, study.sam2, study.masklet_folders(wanted, own))
    return True
