"""Work, disk and time of a study before it starts, and what would hold it up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import with_settings
from sam2vss_lib.cli.options import JsonOption, StudyOptions, print_result
from sam2vss_lib.errors import SettingsError

_Count = Annotated[int | None, typer.Option(min=1, help="For every measured split, on paper.")]
_Rate = Annotated[float | None, typer.Option(min=0.001, help="What all workers together get.")]


@with_settings(StudyOptions)
def plan(
    options: StudyOptions,
    workers: Annotated[int, typer.Option(min=1, help="GPUs or processes.")] = 1,
    costs: Annotated[Path | None, typer.Option(help="JSON that this command printed.")] = None,
    clips: _Count = None,
    frames_per_clip: _Count = None,
    disk_mib_per_s: _Rate = None,
    driver_tasks_per_s: _Rate = None,
    json_output: JsonOption = False,
) -> None:
    """Say what a study will take: work, disk, time on any number of workers, and what limits it.

    Costs are those measured by notebook 08 and earlier runs under --out; nothing is computed.
    """
    from sam2vss_lib.study.estimate.estimate import estimate
    from sam2vss_lib.study.estimate.unit_costs import arithmetic, measured_costs, read_costs
    from sam2vss_lib.study.estimate.workload import study_workload
    from sam2vss_lib.study.run.planning import planned_settings
    from sam2vss_lib.study.stages.provenance import device_name

    plans = options.open()
    if not (work := study_workload(plans, clips, frames_per_clip)):
        raise SettingsError(
            f"--only {options.only}: none of these notebooks has work to be planned"
        )
    known = measured_costs(options.out / options.profile) if costs is None else read_costs(costs)
    found, numbers = estimate(work, known), sorted({1, 8, 64, 1000, workers})
    stages, scales = found.stages, found.on(numbers, disk_mib_per_s, driver_tasks_per_s)
    used = next(planned_settings(plans))
    asked = (used.checkpoint, arithmetic(used), device_name(used.torch_device))
    other = f"; NOT what this study would use ({'; '.join(asked)}): times are an example"
    said = [
        *dict.fromkeys(f"clips: {part.source}" for part in work),
        f"measured: {'; '.join(known.measured)}{'' if {*known.measured} == {*asked} else other}",
        f"{found.tasks:,} clips, of which one takes up to {found.longest_task_hours:.3g} hours",
        f"{stages['disk_gib'].sum():.3g} GiB on disk; empty cells were not measured",
        "not in it: training of classifiers, what notebook 08 times, figures and intervals",
    ]
    result = {
        "profile": options.profile,
        "tasks": found.tasks,
        "longest_task_hours": found.longest_task_hours,
        "stages": json.loads(str(stages.to_json(orient="index"))),  # null where not measured
        "scales": scales.reset_index().to_dict("records"),
        "notes": said,
        "costs": known.model_dump(mode="json"),
    }
    tables = [
        one.to_string(na_rep="", float_format=lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}")
        for one in (stages, scales)
    ]
    print_result(result, json_output, "\n\n".join((*tables, "\n".join(said))))
