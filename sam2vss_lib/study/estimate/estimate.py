"""What a study will take on paper: its work times measured costs, on any number of workers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from sam2vss_lib.masklets.plan import passes, planned_work
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.unit_costs import UnitCosts
from sam2vss_lib.study.estimate.workload import ClipWork, Piece

#: what is counted of a stage, and the files that each piece reads and writes
_STAGES = {
    "decode": ("frames", ("frame",), ()),
    "encode": ("images", (), ()),
    "propose": ("points", (), ()),
    "track frame": ("frames in windows", (), ()),
    "track object": ("object-frames", (), ()),
    "store": ("frames", (), ("masklets",)),
    "segment": ("frames", ("frame",), ("label map",)),
    "refine": ("label maps", ("label map", "masklets"), ("label map",)),
    "evaluate": ("label maps", ("label map", "label map"), ()),  # and as large a ground truth
    "features": ("frames", ("frame", "masklets"), ()),
    "evidence": ("label maps", ("frame", "label map", "masklets"), ()),
    "weigh": ("label maps", ("frame", "label map", "masklets"), ()),
    "fill": ("frames", ("frame", "masklets"), ("masklets",)),
    "paint": ("label maps", ("masklets",), ("label map",)),
}


@dataclass(frozen=True)
class Estimate:
    """A study's work and disk; `hours` and GiB are of the shared work, NaN where not measured."""

    stages: pd.DataFrame  # by stage: unit, alone, shared, hours on one worker, read_gib, disk_gib
    tasks: int  # clips: one worker does all that is done on a clip
    longest_task_hours: float

    def on(
        self, workers: Sequence[int], disk_mib_per_s: float | None, tasks_per_s: float | None
    ) -> pd.DataFrame:
        """Time on numbers of workers, with a shared disk and a driver of these rates if given.

        Returns:
            By number of workers: `hours` (at least), `at_most_hours` (if whoever is free takes the
            next clip: Graham 1969) and `limit`, the resource that needs the most time.
        """
        sums, index = self.stages.sum(numeric_only=True), pd.Index(workers, name="workers")
        least = pd.DataFrame({"workers": sums["hours"] / index.to_numpy()}, index=index)
        most = least["workers"] + self.longest_task_hours * (1 - 1 / index.to_numpy())
        least["longest task"] = self.longest_task_hours
        if disk_mib_per_s is not None:
            least["disk"] = (sums["read_gib"] + sums["disk_gib"]) * 1024 / disk_mib_per_s / 3600
        if tasks_per_s is not None:
            least["driver"] = self.tasks / tasks_per_s / 3600
        hours, limit = least.max(axis=1), least.idxmax(axis=1)
        most = most.clip(lower=hours)  # a slow disk or driver may need more than that
        return pd.DataFrame({"hours": hours, "at_most_hours": most, "limit": limit})


def estimate(work: Iterable[ClipWork], costs: UnitCosts) -> Estimate:
    """Count all work, clips of one length and use together, and multiply it by its cost."""
    alone, shared = defaultdict[str, float](float), defaultdict[str, float](float)
    tasks, longest = 0, 0.0
    for part in work:
        notebooks = Counter(piece for asked in part.asked for piece in dict.fromkeys(asked))
        for frames, clips in part.lengths.items():
            for piece, number in notebooks.items():
                for stage, count in clip_counts([piece], frames, costs).items():
                    alone[stage] += count * clips * number
            counts = clip_counts(notebooks, frames, costs)
            for stage, count in counts.items():
                shared[stage] += count * clips
            longest = max(longest, pd.Series(costs.hours(counts)).sum())
            tasks += clips
    stages = pd.DataFrame({"alone": alone, "shared": shared}, index=[*shared], dtype=float)
    kinds = [_STAGES[stage.partition(":")[0]] for stage in shared]
    stages.insert(0, "unit", [unit for unit, _, _ in kinds])
    stages["hours"] = pd.Series(costs.hours(shared), dtype=float)
    stages["read_gib"] = stages["shared"] * [costs.gib(read) for _, read, _ in kinds]
    stages["disk_gib"] = stages["shared"] * [costs.gib(written) for *_, written in kinds]
    return Estimate(stages, tasks, longest)


def clip_counts(pieces: Iterable[Piece], frames: int, costs: UnitCosts) -> dict[str, float]:
    """Work of every stage on a clip, what its pieces have in common once.

    Settings of one pass, window and grid differ in the objects they keep, and are taken to keep the
    same; other windows and grids to find other objects, though the engine shares a few of them.
    """
    counts = defaultdict[str, float](float)
    distinct = dict.fromkeys(pieces)
    masklets = [m for one in distinct if one.stage == "masklets" for m in one.name]
    for group in passes(m for m in masklets if isinstance(m, MaskletSettings)):
        work = planned_work([frames], group)
        counts["decode"] += frames
        counts["encode"] += work.image_encodings
        counts["propose"] += work.prompts
        # objects of an anchor are followed as far as its longest window goes
        ends = [(a, min(a + s.window, frames)) for s in group for a in range(0, frames, s.window)]
        counts["track frame"] += len({(a, t) for a, end in ends for t in range(a, end)})
        grids = {(one.window, one.points_per_side) for one in group}
        counts["track object"] += frames * costs.objects * len(grids)
        counts["store"] += frames * len(group)
    for one in distinct:
        if one.stage != "masklets":
            counts[one.stage] += -(-frames // one.every)
    return counts
