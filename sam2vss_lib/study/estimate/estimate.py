"""What a study will take, on paper: work times measured unit costs, on any number of workers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sam2vss_lib.study.estimate.schedule import makespan_s
from sam2vss_lib.study.estimate.unit_costs import UnitCosts, cost_name
from sam2vss_lib.study.estimate.work_counts import (
    counts_alone,
    read_bytes,
    shared_counts,
    stored_bytes,
)
from sam2vss_lib.study.estimate.workload import Workload

#: what is counted of each stage; native base systems add `segment <label>`, in frames
STAGES = {
    "decode": "frames",
    "encode": "images",
    "propose": "points",
    "track frame": "frames in windows",
    "track object": "objects x frames",
    "store": "objects x frames",
    "segment": "frames",
    "convert": "label maps",
    "refine": "label maps",
    "evaluate": "label maps",
    "features": "frames",
    "paint": "label maps",
    "classifiers": "frames",
}
WORKERS = (1, 8, 64, 1000)


@dataclass(frozen=True)
class StageTotal:
    """One stage of all clips.

    Attributes:
        stage: its name.
        unit: what is counted.
        alone: pieces of work, were every notebook run by itself.
        shared: pieces of work as the planner does them.
        seconds: of the shared work on one worker; None where its cost was not measured.
        source: of the unit cost.
    """

    stage: str
    unit: str
    alone: float
    shared: float
    seconds: float | None
    source: str


@dataclass(frozen=True)
class Scale:
    """The study on a number of workers.

    Attributes:
        workers: their number.
        schedule_s: makespan of its tasks, the longest first.
        bounds_s: least time that each resource alone needs: the workers together, the longest task,
            and the disk and the driver where their rates are given.
        disk_mib_per_s: read and written by all workers together; NaN where a size is unknown.
        tasks_per_s: handed out by the driver.
    """

    workers: int
    schedule_s: float
    bounds_s: dict[str, float]
    disk_mib_per_s: float
    tasks_per_s: float

    @property
    def busy(self) -> float:
        """Share of the schedule that workers have something to do."""
        return self.bounds_s["workers"] / self.schedule_s if self.schedule_s else 0.0

    @property
    def seconds(self) -> float:
        """Time of the study: nothing is faster than its slowest resource."""
        return max(self.schedule_s, *self.bounds_s.values())

    @property
    def limit(self) -> str:
        """The resource that needs the most time."""
        return max(self.bounds_s, key=lambda name: self.bounds_s[name])


@dataclass(frozen=True)
class Estimate:
    """A study's work, time and disk.

    Attributes:
        stages: in the order of the data.
        tasks: (seconds, how many), the longest first: a clip with all that is done on it, or the
            training of a classifier.
        disk_bytes: written, by store; NaN where the size of its files was not measured.
        traffic_bytes: read and written; NaN where a size was not measured.
    """

    stages: tuple[StageTotal, ...]
    tasks: tuple[tuple[float, int], ...]
    disk_bytes: dict[str, float]
    traffic_bytes: float

    @property
    def total_s(self) -> float:
        """On one worker, of all stages whose cost was measured."""
        return sum(seconds * count for seconds, count in self.tasks)

    @property
    def longest_s(self) -> float:
        """Of one task."""
        return max((seconds for seconds, _ in self.tasks), default=0.0)

    @property
    def num_tasks(self) -> int:
        """Clips and classifiers."""
        return sum(count for _, count in self.tasks)

    def on(
        self,
        workers: int,
        disk_mib_per_s: float | None = None,
        driver_tasks_per_s: float | None = None,
    ) -> Scale:
        """The study on `workers` workers, of a shared disk and a driver of these rates if given."""
        bounds = {"workers": self.total_s / workers, "longest task": self.longest_s}
        traffic_mib = self.traffic_bytes / 2**20
        if disk_mib_per_s is not None and not math.isnan(traffic_mib):
            bounds["disk"] = traffic_mib / disk_mib_per_s
        if driver_tasks_per_s is not None:
            bounds["driver"] = self.num_tasks / driver_tasks_per_s
        schedule_s = makespan_s(self.tasks, workers)
        rates = [work / schedule_s if schedule_s else 0.0 for work in (traffic_mib, self.num_tasks)]
        return Scale(workers, schedule_s, bounds, *rates)

    def limits(
        self, disk_mib_per_s: float | None = None, driver_tasks_per_s: float | None = None
    ) -> dict[str, float]:
        """Number of workers from which more of them do not help, by what stands in their way."""
        bounds = self.on(1, disk_mib_per_s, driver_tasks_per_s).bounds_s
        return {
            name: self.total_s / seconds
            for name, seconds in bounds.items()
            if name != "workers" and seconds > 0
        }


def estimate(workload: Workload, costs: UnitCosts) -> Estimate:
    """Count all work, and multiply it by what was measured.

    Memory does not grow with the number of clips: clips of one length and use are counted together.
    """
    alone: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    tasks: Counter[float] = Counter()
    disk: Counter[str] = Counter()
    read = 0.0
    for work in workload.clips:
        for num_frames, clips in work.histogram().items():
            counts = shared_counts(work.asked, num_frames, costs)
            _add(shared, counts, clips)
            for asked in work.asked:
                _add(alone, counts_alone(asked, num_frames, costs), clips)
            tasks[sum(costs.time_s(*count) or 0.0 for count in counts.items())] += clips
            _add(disk, stored_bytes(work.asked, num_frames, costs), clips)
            read += clips * read_bytes(work.asked, num_frames, costs)
    for one in workload.classifiers:
        _add(shared, {"classifiers": one.frames}, one.number)
        _add(alone, {"classifiers": one.frames}, one.number)
        tasks[costs.time_s("classifiers", one.frames) or 0.0] += one.number
    stages = [
        StageTotal(
            stage,
            STAGES[_kind(stage)],
            alone[stage],
            shared[stage],
            costs.time_s(stage, shared[stage]),
            found.source if (found := costs.seconds.get(cost_name(stage))) else "not measured",
        )
        for stage in sorted(shared, key=lambda stage: ([*STAGES].index(_kind(stage)), stage))
        if shared[stage]
    ]
    longest_first = tuple(sorted(tasks.items(), reverse=True))
    stores = {store: float(size) for store, size in disk.items() if size}
    return Estimate(tuple(stages), longest_first, stores, read + sum(stores.values()))


def _kind(stage: str) -> str:
    """A stage's name in `STAGES`."""
    return stage if stage in STAGES else stage.partition(" ")[0]


def _add(sums: Counter[str], values: Mapping[str, float], times: int) -> None:
    """Add each of the values so many times."""
    counts: dict[str, Any] = {name: value * times for name, value in values.items()}
    sums.update(counts)
