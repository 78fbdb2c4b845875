"""All stages on one source, one after the other, and the page about what they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sam2vss_lib.apply.commands import commands
from sam2vss_lib.apply.films import make_films
from sam2vss_lib.apply.job import Job
from sam2vss_lib.apply.plan import plan
from sam2vss_lib.apply.predictions import given_predictions, name_as_images
from sam2vss_lib.apply.progress import Progress, watched, watched_folder
from sam2vss_lib.apply.source import Source, look_at, open_source
from sam2vss_lib.datasets import GENERATED, Dataset
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.registry import ENGINES, MaskletModel
from sam2vss_lib.masklets.sam2 import DEMO
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.trust import reason
from sam2vss_lib.segmentors.base import unmapped_warning
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segment import check_classes, segment
from sam2vss_lib.storage.records import facts_of, is_finished, mark_started
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.study.stages.evaluation import (
    count_predictions,
    offset_warning,
    predictions_sha256,
    write_evaluation,
)
from sam2vss_lib.study.stages.provenance import Provenance, collect_provenance

if TYPE_CHECKING:
    from sam2vss_lib.segmentors.base import Segmentor

#: seconds that stages take for a frame of a million pixels, about those of the demo's models on a
#: CPU: a first guess, which the bar mends
_GUESSES_S = {
    "convert": 0.05,
    "masklets": 2.0,
    "segment": 0.5,
    "refine": 0.3,
    "evaluate base": 0.5,
    "evaluate refined": 0.5,
    "films": 1.0,
}
_DEMO_ELSEWHERE = (
    "checkpoint demo was trained on generated clips alone, and is no good on others: take an "
    "official one, such as sam2.1_hiera_large"
)
_FPS = 10.0  # of films of frames whose times are not known


@dataclass(frozen=True)
class Outcome:
    """What was made, for those who show it."""

    job: Job
    source: Source
    dataset: Dataset  # with a known number of classes
    plan: str
    commands: tuple[str, ...]
    clips: list[dict[str, Any]]  # as of `make_films`
    metrics: dict[str, dict[str, Any]]  # `metrics.json` of "base" and "refined"; empty without any
    provenance: Provenance
    notes: list[str]  # what is odd about the inputs

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; where there is no list, numbers."""
        dataset = self.dataset
        return dataset.class_names or tuple(f"class {i}" for i in range(dataset.num_classes))


def apply(job: Job, say: Callable[[str], None] = print) -> Outcome:
    """Refine predictions on a source, and show what that changed.

    Every stage resumes, and refuses what was made with other inputs, by itself. `say` is given the
    plan before anything begins, and at the end what is odd about the inputs.

    Raises:
        DataError: something cannot be read, or OUT was made from something else.
        SettingsError: a setting cannot be used, or the disk is too small.
    """
    check_folder(job.out)
    source = look_at(job)
    made_from = {"source": source.name, "kind": source.kind, "split": job.split}
    is_finished(job.out, made_from)  # refuses another source's
    planned = plan(job, source)
    say(planned)
    engine = ENGINES[job.masklets.engine]
    model = engine.load_model(job.checkpoint, device=job.processor, config=job.config)
    segmentor = None if job.model is None else load_segmentor(job.model, job.processor)
    mark_started(job.out, made_from)

    notes = [_DEMO_ELSEWHERE] if job.checkpoint == DEMO and job.source not in GENERATED else []
    progress = Progress(_guesses(job, source), source.clips)
    with progress.bar():
        with progress.stage("convert") as (frame, _):
            dataset = open_source(job, source, notes.append, frame)
        progress.correct({clip.name: clip.num_frames for clip in dataset})
        if segmentor is not None:
            segmentor = segmentor.for_classes(dataset.class_names, job.classes)
            notes += [unmapped_warning(segmentor)] if segmentor.unmapped else []
            if dataset.class_count is None:
                dataset = _with_classes(dataset, segmentor.num_classes)
        base = _base(job, source, dataset, segmentor)
        _track(job, dataset, model, progress)
        refined = _refine(job, dataset, base, segmentor, progress)
        notes += _distrust(dataset, refined)
        name_as_images(job, source, dataset, refined)
        metrics = _evaluate(job, dataset, {"base": base, "refined": refined}, progress, notes)
        with progress.stage("films") as (frame, clip):
            clips = make_films(
                watched(dataset, frame),
                base,
                refined,
                MaskletStore(job.store),
                job.films,
                fps=job.fps or source.fps or _FPS,
                overlap=job.refinement.overlap,
                progress=clip,
            )
    for note in notes:
        say(f"warning: {note}")
    checkpoints = {model.name: model.checkpoint_sha256}
    given = {} if segmentor else {str(job.predictions): predictions_sha256(dataset, base)}
    if segmentor is not None:
        checkpoints[segmentor.name] = segmentor.checkpoint_sha256
    provenance = collect_provenance(
        settings={"masklets": job.masklets.identity(), "refine": job.refinement.identity()},
        data_sha256=dataset.content_sha256(),
        checkpoints=checkpoints,
        predictions=given,
        device=job.processor,
    )
    stages = tuple(commands(job, source, dataset, base))
    return Outcome(job, source, dataset, planned, stages, clips, metrics, provenance, notes)


def _guesses(job: Job, source: Source) -> dict[str, float]:
    """Seconds a frame of the stages; those that there are not take none."""
    left_out = {"segment"} if job.model is None else set[str]()
    left_out |= {"evaluate base", "evaluate refined"} if source.converted else {"convert"}
    megapixels = source.size[0] * source.size[1] / 1e6
    return {k: 0.0 if k in left_out else s * megapixels for k, s in _GUESSES_S.items()}


def _with_classes(dataset: Dataset, count: int) -> Dataset:
    """A data set without a class list as the base model sees it."""
    clips = tuple(replace(clip, class_count=count) for clip in dataset)
    return replace(dataset, class_count=count, clips=clips)


def _base(
    job: Job, source: Source, dataset: Dataset, segmentor: Segmentor | None
) -> PredictionFolder:
    """Where base predictions are, or are to be made."""
    if segmentor is None:
        assert job.predictions is not None  # as jobs are checked
        return given_predictions(job, source, dataset, job.predictions)
    folder = PredictionFolder(job.base, segmentor.num_classes)
    check_classes(dataset, segmentor, folder)
    return folder


def _track(job: Job, dataset: Dataset, model: MaskletModel, progress: Progress) -> None:
    with progress.stage("masklets") as (frame, clip):
        generate_masklets(
            watched(dataset, frame),
            model,
            job.masklets,
            job.store,
            max_objects_per_batch=job.max_objects_per_batch,
            progress=clip,
        )


def _refine(
    job: Job,
    dataset: Dataset,
    base: PredictionFolder,
    segmentor: Segmentor | None,
    progress: Progress,
) -> PredictionFolder:
    if segmentor is not None:
        wanted = VOTES[job.refinement.vote].probabilities != "unread"
        with progress.stage("segment") as (frame, clip):
            folder = watched_folder(base, frame)
            segment(dataset, segmentor, folder, save_probabilities=wanted, progress=clip)
    refined = replace(base, root=job.refined)
    with progress.stage("refine") as (frame, clip):
        refine(
            dataset,
            watched_folder(base, frame),
            MaskletStore(job.store),
            refined,
            job.refinement,
            device=job.processor,
            progress=clip,
        )
    return refined


def _distrust(dataset: Dataset, refined: PredictionFolder) -> Iterator[str]:
    """What the gate found, where it kept clips as they were."""
    facts = [facts_of(refined.root / clip.name) for clip in dataset]
    if doubted := [one for one in facts if not one.get("trusted", True)]:
        yield (
            f"SAM2 was not trusted on {len(doubted)} of {len(facts)} clips, which stay as they "
            f"were: {reason(doubted[0])}" + ("; ..." if len(doubted) > 1 else "")
        )


def _evaluate(
    job: Job,
    dataset: Dataset,
    folders: dict[str, PredictionFolder],
    progress: Progress,
    notes: list[str],
) -> dict[str, dict[str, Any]]:
    """Metrics of both kinds of predictions on the clips that have ground truth."""
    scored = replace(dataset, clips=tuple(clip for clip in dataset if clip.has_ground_truth))
    if not scored.clips:
        return {}
    count = partial(count_predictions, scored, device=job.processor)
    metrics: dict[str, dict[str, Any]] = {}
    for name, folder in folders.items():
        with progress.stage(f"evaluate {name}") as (frame, clip):
            suite = count(watched_folder(folder, frame), progress=clip)
            if name == "base" and (warning := offset_warning(scored, folder)):
                notes.append(warning)
            metrics[name] = write_evaluation(
                job.metrics(name),
                suite,
                scored,
                folder,
                mask_offset=job.mask_offset,
                device=job.processor,
            )
    return metrics
