"""A stage in this process, or clip by clip on Ray: one machine's workers, or a cluster's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

import typer

from sam2vss_lib.cli.options import clip_bar

ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes that share the clips, one per GPU; needs Ray."
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option("--ray", help="Address of a Ray cluster that shares the work."),
]


class ClipWork(Protocol[ResultT_co]):
    """A stage with all but its clips given."""

    def __call__(self, clips: Any, /, *, progress: Callable[[str], None]) -> ResultT_co:
        """Do the clips of a `Dataset`, calling `progress` with each one's name."""
        ...


class Places(NamedTuple):
    """Where a stage runs: in this process if neither workers nor a cluster are given.

    Attributes:
        workers: processes.
        ray: address of a cluster.
        gpu: whether each worker gets a GPU, where there are some.
    """

    workers: int | None
    ray: str | None
    gpu: bool


def run_stage(
    dataset: Any, make_work: Callable[[], ClipWork[ResultT]], places: Places, what: str
) -> list[ResultT]:
    """Run a stage on a data set.

    Args:
        dataset: the clips (a `Dataset`).
        make_work: loads what the stage needs; called in every worker.
        places: where.
        what: name of the progress bar.

    Returns:
        The result for all clips, or in workers those for each of them, in order.
    """
    if places.workers is None and places.ray is None:
        with clip_bar(dataset, what) as tick:
            return [make_work()(dataset, progress=tick)]
    from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray

    clips = [replace(dataset, clips=(clip,)) for clip in dataset]
    return map_on_ray(
        partial(_quiet, make_work),
        clips,
        RayPool(*places),
        costs=[clip.num_frames for clip in dataset],
        names=[clip.name for clip in dataset],
        what=what,
        unit="frame",
    )


def _quiet(make_work: Callable[[], ClipWork[ResultT]]) -> Callable[[Any], ResultT]:
    """The same work for a single clip, whose end is all there is to say."""
    return partial(make_work(), progress=_say_nothing)


def _say_nothing(_clip: str) -> None: ...
