"""What will be done, said before it begins: work, time where it was measured, and disk space."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sam2vss_lib.apply.job import Job
from sam2vss_lib.apply.pictures import enlarged
from sam2vss_lib.apply.source import Source
from sam2vss_lib.errors import Sam2VssError, SettingsError
from sam2vss_lib.masklets.plan import planned_work
from sam2vss_lib.storage.places import PROJECT

#: bytes of a pixel of a frame, rounded up from real and generated clips: a label map as PNG, the
#: masklets, a frame as JPEG where one is made; and of a pixel of a film
_LABELS, _MASKLETS, _FRAME, _FILM = 0.05, 0.2, 0.5, 0.08
_MIB, _GIB = 2**20, 2**30


def plan(job: Job, source: Source) -> str:
    """The plan in words.

    Raises:
        SettingsError: the disk is too small for it.
    """
    return "\n".join((*_work(job, source), _disk(job, source), _time(job, source)))


def _work(job: Job, source: Source) -> Iterator[str]:
    height, width = source.size
    clips = f"{len(source.clips)} clips, " if len(source.clips) > 1 else ""
    about = "about " if source.kind == "video" else ""
    rate = f" at {source.fps:.4g} frames a second" if source.fps else ""
    yield (
        f"{source.kind} {source.name}: {clips}{about}{source.frames:,} frames of "
        f"{width}x{height}{rate}"
    )
    settings = job.masklets
    work = planned_work(source.clips.values(), [settings])
    yield (
        f"masklets: SAM2 {job.checkpoint} on {job.processor}; "
        f"{settings.points_per_side}x{settings.points_per_side} points every {settings.window} "
        f"frames, {work.prompts:,} prompts, {work.image_encodings:,} image encodings"
    )
    base = f"made by {job.model}" if job.model else f"read from {job.predictions}"
    yield f"base predictions: {base}"
    yield f"refinement: vote {job.refinement.vote}, overlap {job.refinement.overlap}"


def _disk(job: Job, source: Source) -> str:
    """Room that is needed, less what an earlier run has left, and the room there is."""
    height, width = source.size
    # five panels of two films
    a_pixel = _LABELS * (1 if job.predictions else 2) + _MASKLETS + _FILM * 5 * enlarged(width) ** 2
    a_pixel += _FRAME if source.converted else 0
    there = sum(path.stat().st_size for path in job.out.rglob("*") if path.is_file())
    needed = max(0.0, a_pixel * height * width * source.frames - there)
    place = job.out.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise SettingsError(
            f"{job.out}: up to {_size(needed)} are needed, {_size(free)} are free; make room, "
            "choose another --out, or take less (--max-frames, --max-clips)"
        )
    return f"disk: up to {_size(needed)} in {job.out}, {_size(free)} are free"


def _size(size: float) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{max(1, round(size / _MIB))} MiB"


def _time(job: Job, source: Source) -> str:
    for results in sorted(PROJECT.glob("results/*/08_cost_analysis/result.json")):
        seconds = _measured_s(job, source, results.parent.parent)
        if seconds:
            said = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} s"
            return f"time: about {said}, by the costs measured in {results.parent.parent}"
    return "time: not measured here yet; the bar says what is left once some frames are tracked"


def _measured_s(job: Job, source: Source, results: Path) -> float | None:
    """What notebook 08 says, where it has measured this model on this processor."""
    with suppress(Sam2VssError, ModuleNotFoundError):  # it needs the extra `study`
        from sam2vss_lib.study.estimate.estimate import clip_counts
        from sam2vss_lib.study.estimate.unit_costs import measured_costs
        from sam2vss_lib.study.estimate.workload import Piece
        from sam2vss_lib.study.stages.provenance import device_name

        costs = measured_costs(results)
        if not {job.checkpoint, device_name(job.processor)} <= {*costs.measured}:
            return None
        pieces = [Piece("masklets", (job.masklets,)), Piece("refine", ())]
        hours = (
            sum(costs.hours(clip_counts(pieces, frames, costs)).values())
            for frames in source.clips.values()
        )
        return 3600 * sum(hours)
    return None
