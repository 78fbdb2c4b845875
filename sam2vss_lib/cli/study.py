"""The study as a whole: what it will take, its run and report, and what this machine has for it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import with_settings
from sam2vss_lib.cli.options import JsonOption, StudyOptions, print_result
from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.storage.targets import check_folder


def doctor(json_output: JsonOption = False) -> None:
    """Say what this machine has for the study, and what it lacks."""
    from sam2vss_lib.study.run.doctor import examine, to_text

    result = examine()
    print_result(result, json_output, to_text(result))


@with_settings(StudyOptions)
def study(
    options: StudyOptions,
    workers: Annotated[int, typer.Option(min=1, help="Stages and notebooks at a time.")] = 1,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster that makes the masklets.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Run the study's notebooks headlessly and write the report; finished stages are reused.

    A notebook that fails does not stop the others; the exit code is then 4, or the notebook's own
    when all failed for one kind of reason.
    """
    from sam2vss_lib.study.report.report import write_report
    from sam2vss_lib.study.run.batch import reuse_table, run_study
    from sam2vss_lib.study.run.runner import check_base_systems

    check_folder(options.out)
    plans = options.open()
    if "base_systems" in options.overrides:
        check_base_systems(plans)

    def say(text: str) -> None:
        typer.echo(text, err=True)

    executed, failures = run_study(plans, workers, say, ray=ray)
    page = write_report(options.out / options.profile)
    result = {**{name: str(path) for name, path in executed.items()}, "report": str(page)}
    print_result(result, json_output, f"{reuse_table(executed)}\n{page}")
    if failures:
        typer.echo(f"{len(failures)} of {len(plans)} notebooks failed, see above", err=True)
        codes = {failure.exit_code for failure in failures.values()}
        same = len(failures) == len(plans) and len(codes) == 1
        raise typer.Exit(codes.pop() if same else RunError.exit_code)


def report(
    results_dir: Annotated[Path, typer.Argument(help="Results of a profile: results/demo.")],
    json_output: JsonOption = False,
) -> None:
    """Write report.html, index.html and tables.tex from the files of a study."""
    from sam2vss_lib.study.report.report import write_report

    page = write_report(results_dir)
    print_result({"report": str(page)}, json_output, str(page))


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
    used = next(iter(planned_settings(plans).values()))
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
