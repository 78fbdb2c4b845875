"""Everything that notebooks will ask their stages for, as jobs that are done once for all."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.parallel.job_graph import Job
from sam2vss_lib.parallel.processes import threads_each
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.run.masklet_jobs import MaskletJobs, masklet_jobs
from sam2vss_lib.study.run.opened import StageWork, opened_study
from sam2vss_lib.study.run.planning import Plans, planned_settings, wanted_masklets
from sam2vss_lib.study.settings import BaseSystem, EncoderSystem, IndependentSettings, StudySettings
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.study import Labelled

Name = Hashable
#: makes a job of its kind, name, seconds, names of others that it needs, stage and its arguments
_Make = Callable[..., Job]


_OF_THE_DATA = (
    "dataset", "split", "max_clips", "stray_labels", "mask_offset", "checkpoint", "device",
)  # fmt: skip


class Stages(NamedTuple):
    """Jobs, and which of them each notebook waits for."""

    jobs: list[Job]
    needs: dict[Path, frozenset[Hashable]]


def stage_jobs(
    plans: Plans,
    workers: int,
    say: Callable[[str], None],
    elsewhere: Callable[[list[Job]], None] | None = None,
) -> Stages:
    """All that `workers` processes, which share the threads, have to do before notebooks read it.

    One worker makes the masklets of several settings together; the rest is left to the notebooks.
    Masklets may be made `elsewhere`, here and now.
    """
    settings, threads = planned_settings(plans), threads_each(workers)
    made = masklet_jobs(
        settings.values(),
        processes=workers,
        threads=threads if elsewhere is None else 1,
        fewest=2 if workers == 1 and elsewhere is None else 1,
        say=say,
    )
    if elsewhere is not None:
        elsewhere(made.jobs)
        made = MaskletJobs()
    jobs: dict[Hashable, Job] = {job.name: job for job in made.jobs}
    masklets, needs = frozenset(jobs), dict[Path, frozenset[Hashable]]()
    for notebook, one in settings.items():
        own = _label_jobs(one, made, threads, workers) if workers > 1 else []
        needs[notebook] = frozenset(job.name for job in own) or masklets
        jobs = {job.name: job for job in own} | jobs
    # what is not here was done by an earlier run
    known = jobs.keys()
    return Stages([replace(job, needs=job.needs & known) for job in jobs.values()], needs)


def _label_jobs(
    settings: StudySettings, made: MaskletJobs, threads: int, processes: int
) -> list[Job]:
    """Jobs that make all that a notebook will ask for, beside masklets.

    Those of several notebooks have one name where they do the same. What cannot be done is left to
    the notebooks, which say why.
    """
    of = [getattr(settings, name) for name in _OF_THE_DATA]

    def job(
        kind: str, name: Name, seconds: float, needs: Iterable[Name], stage: Any, *given: Any
    ) -> Job:
        whole = (kind, *of, name)
        work = StageWork(whole, settings, threads, stage, given)
        return Job(whole, kind, work, seconds, frozenset(needs))

    try:
        study = opened_study(settings)
        if isinstance(study, IndependentStudy):
            found = _independent(study, made, processes, job)
        else:
            found = _refinements(study, made, job)
        return [one for one in found if not cast(StageWork, one.work).was_done]
    except Sam2VssError:
        return []


def _refinements(study: Study, made: MaskletJobs, job: _Make) -> Iterator[Job]:
    """Base systems, and each of them refined; an ablation is about the first one and first vote."""
    settings, frames = study.settings, sum(clip.num_frames for clip in study.dataset)
    first = None if settings.sweep is None else 1
    for system in settings.base_systems[:first]:
        yield (base := job("base predictions", system, 0.06 * frames, (), _base, system))
        for masklets in wanted_masklets(settings):
            needs = {base.name} | made.needed(study, [masklets])
            for vote in settings.votes[:first]:
                name = (system, masklets, vote, settings.overlap)
                given = (system, masklets, vote)
                yield job("refined labels", name, 0.03 * frames, needs, _refined, *given)


def _base(study: Study, system: BaseSystem) -> bool:
    if can := study.why_not(system) is None:
        study.counted(study.base(system))
    return can


def _refined(study: Study, system: BaseSystem, masklets: MaskletSettings, vote: str) -> bool:
    if can := study.why_not(system) is None:
        store = study.masklets_for([masklets])[masklets]
        study.counted(study.refined(system, vote, store))
    return can


def _independent(
    study: IndependentStudy, made: MaskletJobs, processes: int, job: _Make
) -> Iterator[Job]:
    """Table 3: base systems, training masklets, features, classifiers, painted masklets."""
    settings, own = study.settings, study.independent
    frames = sum(clip.num_frames for clip in study.dataset)
    followed = made.needed(study, [settings.masklets])
    bases = {
        system.label: job("base predictions", system, 0.06 * frames, (), _base, system)
        for system in settings.base_systems
        if system.label in {one.base for one in own.encoders}
    }
    yield from bases.values()
    extra = (
        IndependentSettings.model_fields.keys() - StudySettings.model_fields.keys() - {"encoders"}
    )
    how = repr(own.model_dump(include=extra))
    # processes share the clips of a stage
    shares = [
        job("training masklets", (share, how), 20.0, (), _training_masklets)
        for share in range(processes)
    ]
    yield from shares
    trained = {one.name for one in shares}
    for encoder in own.encoders:
        name = (encoder, how)
        learnt = job("training features", name, 4.0, trained, _features, encoder, True)
        seen = job("features", name, 0.05 * frames, followed, _features, encoder, False)
        yield from (learnt, seen)
        base = bases[encoder.base].name
        for seed in own.classifier_seeds:
            given, name = (encoder, seed), (encoder, seed, how)
            fit = job("classifier", name, 3.0, {learnt.name}, _fit, *given)
            needs = {fit.name, seen.name, base}
            yield from (fit, job("painted masklets", name, 0.1 * frames, needs, _paint, *given))
    # true classes are the same with any encoder, so with the first that can be run
    for base in own.encoders:
        needs = {*followed, bases[base.base].name}
        yield job("painted masklets", (base.base, how), 0.1 * frames, needs, _bound, base)


def _training_masklets(study: IndependentStudy) -> bool:
    _ = study.training_masklets
    return True


def _features(study: IndependentStudy, encoder: EncoderSystem, training: bool) -> bool:
    if can := study.why_not_encoder(encoder) is None:
        study.features(encoder, training=training)
    return can


def _fit(study: IndependentStudy, encoder: EncoderSystem, seed: int) -> bool:
    if can := study.why_not_encoder(encoder) is None:
        study.classifier(encoder, seed)
    return can


def _paint(study: IndependentStudy, encoder: EncoderSystem, seed: int) -> bool:
    if can := study.why_not_encoder(encoder) is None:
        _count_all(study, study.alone_and_filled(encoder, seed, study.base_of(encoder)))
    return can


def _bound(study: IndependentStudy, encoder: EncoderSystem) -> bool:
    if (first := study.bounding_encoder) is not None:
        _count_all(study, study.alone_and_filled(first, "ground_truth", study.base_of(encoder)))
    return first is not None


def _count_all(study: Study, made: Iterable[Labelled | None]) -> None:
    for labelled in filter(None, made):
        study.counted(labelled)
