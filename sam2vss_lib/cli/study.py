"""The study as a whole, and what this machine has for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import with_settings
from sam2vss_lib.cli.options import JsonOption, StudyOptions, print_result
from sam2vss_lib.errors import RunError
from sam2vss_lib.storage.targets import check_folder


def doctor(json_output: JsonOption = False) -> None:
    """Say what this machine has for the study, and what it lacks."""
    from sam2vss_lib.study.run.doctor import examine, to_text

    result = examine()
    print_result(result, json_output, to_text(result))


@with_settings(StudyOptions)
def study(
    options: StudyOptions,
    workers: Annotated[int, typer.Option(min=1, help="Notebooks run at a time.")] = 1,
    ray: Annotated[
        str | None, typer.Option("--ray", help="Address of a Ray cluster that makes the masklets.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Run the study's notebooks headlessly and write the report; finished stages are reused.

    A notebook that fails does not stop the others; the exit code is then 4, or the notebook's own
    when all failed for one kind of reason.
    """
    from sam2vss_lib.study.report.report import write_report
    from sam2vss_lib.study.run.batch import run_notebooks
    from sam2vss_lib.study.run.planning import share_masklets
    from sam2vss_lib.study.run.reuse import reuse_table

    check_folder(options.out)
    plans = options.open()

    def say(text: str) -> None:
        typer.echo(text, err=True)

    share_masklets(plans, workers, say, ray=ray)
    executed, failures = run_notebooks(plans, workers, say)
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
