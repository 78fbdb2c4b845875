"""Work, disk and time of a study before it starts, and what would hold it up."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2vss_lib.cli.options import JsonOption, OnlyOption, SetOption, open_plans, print_result
from sam2vss_lib.errors import SettingsError

if TYPE_CHECKING:
    from sam2vss_lib.study.estimate.estimate import Estimate

_ON_PAPER = 10**6  # clips


def plan(
    profile: Annotated[str, typer.Option(help="demo, vspw, ...")] = "demo",
    out: Annotated[Path, typer.Option(help="Results root, with costs of earlier runs.")] = Path(
        "results"
    ),
    only: OnlyOption = None,
    parameter: SetOption = None,
    workers: Annotated[int, typer.Option(min=1, help="GPUs or processes.")] = 1,
    costs: Annotated[
        Path | None,
        typer.Option(help="JSON that this command has printed, whose costs are to be used."),
    ] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of every measured split, on paper.")
    ] = None,
    frames_per_clip: Annotated[
        int | None, typer.Option(min=1, help="Frames of every measured clip, on paper.")
    ] = None,
    disk_mib_per_s: Annotated[
        float | None, typer.Option(min=0.001, help="What the shared disk can do.")
    ] = None,
    driver_tasks_per_s: Annotated[
        float | None, typer.Option(min=0.001, help="What hands out tasks can do.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Say what a study will take: work, disk, time on any number of workers, and what limits it.

    Costs are those measured by notebook 08 and earlier runs under --out; nothing is computed.
    """
    from sam2vss_lib.masklets.plan import passes
    from sam2vss_lib.study.estimate import text
    from sam2vss_lib.study.estimate.estimate import WORKERS, estimate
    from sam2vss_lib.study.estimate.notes import notes
    from sam2vss_lib.study.estimate.unit_costs import measured_costs, read_costs
    from sam2vss_lib.study.estimate.workload import study_workload, together

    plans = open_plans(profile, out, only, parameter)
    workload = study_workload(plans, clips, frames_per_clip)
    if workload is None:
        raise SettingsError(f"--only {only}: none of these notebooks has work to be planned")
    groups = [group for work in workload.clips for group in passes(together(work.asked).masklets)]
    known = measured_costs(out / profile, groups) if costs is None else read_costs(costs)
    rates = (disk_mib_per_s, driver_tasks_per_s)
    numbers = sorted({*WORKERS, workers})
    found = estimate(workload, known)
    cases = {f"profile {profile}, on more and more workers": found}
    if clips != _ON_PAPER:
        larger = study_workload(plans, _ON_PAPER, frames_per_clip) or workload
        cases[f"with {_ON_PAPER:,} clips in every measured split"] = estimate(larger, known)
    said = notes(workload, known, found)
    result = {
        "profile": profile,
        "workers": workers,
        "seconds": found.on(workers, *rates).seconds,
        "stages": [asdict(stage) for stage in found.stages],
        "cases": {title: _to_json(case, numbers, rates) for title, case in cases.items()},
        "notes": said,
        "costs": known.model_dump(mode="json"),
    }
    blocks = [text.stages_text(found), text.disk_text(found)]
    for title, case in cases.items():
        scales = text.scales_text([case.on(number, *rates) for number in numbers])
        blocks.append(f"{title}:\n{scales}\n{text.limits_text(case, case.limits(*rates))}")
    blocks.append("\n".join(said))
    took = text.time_text(found.on(workers, *rates).seconds)
    blocks.append(f"{profile} on {workers:,} workers: {took}")
    print_result(result, json_output, "\n\n".join(blocks))


def _to_json(
    case: Estimate, numbers: list[int], rates: tuple[float | None, float | None]
) -> dict[str, Any]:
    """An estimate on several numbers of workers; null where a size was not measured."""
    return {
        "tasks": case.num_tasks,
        "longest_task_s": case.longest_s,
        "one_worker_s": case.total_s,
        "disk_bytes": {store: _known(size) for store, size in case.disk_bytes.items()},
        "traffic_bytes": _known(case.traffic_bytes),
        "scales": [
            {
                **asdict(scale),
                "disk_mib_per_s": _known(scale.disk_mib_per_s),
                "seconds": scale.seconds,
                "limit": scale.limit,
            }
            for scale in (case.on(number, *rates) for number in numbers)
        ],
        "limits_workers": case.limits(*rates),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
