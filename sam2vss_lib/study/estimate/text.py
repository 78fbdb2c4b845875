"""An estimate as plain text: stages, disk, and what limits it on more and more workers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tabulate import tabulate

from sam2vss_lib.study.estimate.estimate import Estimate, Scale

_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))


def time_text(seconds: float | None) -> str:
    """A time in the largest unit of which there is one."""
    if seconds is None:
        return "not measured"
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), ("s", 1.0))
    return (
        f"{seconds / size:,.3g} {unit}" if seconds / size < 100 else f"{seconds / size:,.0f} {unit}"
    )


def size_text(size_bytes: float) -> str:
    """A size in the largest binary unit of which there is one."""
    if math.isnan(size_bytes):
        return "not measured"
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if size_bytes >= 2**power:
            return f"{size_bytes / 2**power:,.1f} {unit}"
    return f"{size_bytes / 2**10:,.1f} KiB"


def stages_text(found: Estimate) -> str:
    """The stages: what is counted, alone and shared, and time on one worker."""
    rows = [
        [
            stage.stage,
            stage.unit,
            f"{stage.alone:,.0f}",
            f"{stage.shared:,.0f}",
            time_text(stage.seconds),
            "" if stage.seconds is None else f"{stage.seconds / (found.total_s or 1):.1%}",
            stage.source,
        ]
        for stage in found.stages
    ]
    rows.append(["all", "", "", "", time_text(found.total_s), "", ""])
    headers = ["stage", "unit", "alone", "shared", "one worker", "share", "measured by"]
    return _table(rows, headers, ("left", "left", "right", "right", "right", "right", "left"))


def disk_text(found: Estimate) -> str:
    """What is on disk afterwards."""
    rows = [[store, size_text(size)] for store, size in found.disk_bytes.items()]
    rows.append(["all", size_text(sum(found.disk_bytes.values()))])
    rows.append(["read and written on the way", size_text(found.traffic_bytes)])
    return _table(rows, ["store", "disk"], ("left", "right"))


def scales_text(scales: Sequence[Scale]) -> str:
    """Time on more and more workers, what that asks of disk and driver, and what is the limit."""
    rows = [
        [
            f"{scale.workers:,}",
            time_text(scale.schedule_s),
            f"{scale.busy:.0%}",
            "" if math.isnan(scale.disk_mib_per_s) else f"{scale.disk_mib_per_s:,.4g}",
            f"{scale.tasks_per_s:,.3g}",
            time_text(scale.seconds),
            scale.limit,
        ]
        for scale in scales
    ]
    headers = ["workers", "schedule", "busy", "MiB/s", "tasks/s", "time", "limit"]
    return _table(rows, headers, ("right",) * 6 + ("left",))


def limits_text(found: Estimate, limits: dict[str, float]) -> str:
    """What is spread over the workers, and how many of them it can keep busy."""
    if not found.num_tasks:
        return "nothing to compute"
    beyond = ", ".join(f"{workers:,.0f} ({name})" for name, workers in limits.items())
    return (
        f"{found.num_tasks:,} tasks, the longest {time_text(found.longest_s)}; "
        f"{size_text(sum(found.disk_bytes.values()))} on disk. "
        f"More workers than these do not help: {beyond}."
    )


def _table(rows: list[list[str]], headers: list[str], align: Sequence[str]) -> str:
    return tabulate(rows, headers, tablefmt="plain", colalign=align, disable_numparse=True)
