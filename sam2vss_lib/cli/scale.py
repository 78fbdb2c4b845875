"""A stage in this process, or clip by clip on Ray: one machine's workers, or a cluster's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from sam2vss_lib.cli.options import DatasetOptions, clip_bar, in_study
from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray

if TYPE_CHECKING:
    from sam2vss_lib.datasets import Dataset

ResultT = TypeVar("ResultT")
#: a stage with all but its clips given: does those of a `Dataset`, and tells the name of each one
#: to the function `progress`
ClipWork = Callable[..., ResultT]


class StageOptions(DatasetOptions, frozen=True):
    """Options of stages, which say what they run on and where."""

    device: str = in_study("device")
    workers: int | None = Field(
        None, ge=1, description="Processes that share the clips, one per GPU; needs Ray."
    )
    ray: str | None = Field(None, description="Address of a Ray cluster that shares the work.")

    def pool(self, *, may_use_gpu: bool) -> RayPool | None:
        """Where clips are worked on; None for this process."""
        here = self.workers is None and self.ray is None
        return None if here else RayPool(self.workers, self.ray, may_use_gpu)


def run_stage(
    dataset: Dataset, make_work: Callable[[], ClipWork[ResultT]], pool: RayPool | None, what: str
) -> list[ResultT]:
    """Run a stage on the clips of a data set, in workers or, without a pool, in this process.

    `make_work` loads what the stage needs, in every worker; `what` names the progress bar.

    Returns:
        The result for all clips, or in workers those for each of them, in order.
    """
    if pool is None:
        with clip_bar(dataset, what) as tick:
            return [make_work()(dataset, progress=tick)]
    return map_on_ray(
        make_work,
        [replace(dataset, clips=(clip,)) for clip in dataset],
        pool,
        costs=[clip.num_frames for clip in dataset],
        names=[clip.name for clip in dataset],
        what=what,
        unit="frame",
    )
