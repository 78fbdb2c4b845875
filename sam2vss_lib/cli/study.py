"""The study as a whole, and what this machine has for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from sam2vss_lib.cli.options import JsonOption, print_result
from sam2vss_lib.errors import RunError, Sam2VssError, SettingsError


def doctor(json_output: JsonOption = False) -> None:
    """Say what this machine has for the study, and what it lacks."""
    from sam2vss_lib.study.doctor import examine, to_text

    result = examine()
    print_result(result, json_output, to_text(result))


def study(
    profile: Annotated[str, typer.Option(help="demo, vspw, ...")] = "demo",
    out: Annotated[Path, typer.Option(help="Results root.")] = Path("results"),
    only: Annotated[str | None, typer.Option(help="Notebooks by number, such as 01,04.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of a notebook parameter; repeatable."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Run the study's notebooks headlessly; finished stages are reused."""
    from sam2vss_lib.study.runner import find_notebooks, plan_notebook, run_notebook

    overrides = dict(_assignment(text) for text in parameter or [])
    plans = [(n, plan_notebook(n, profile, out, overrides)) for n in find_notebooks(only)]
    failures: list[Sam2VssError] = []
    results: dict[str, str] = {}
    for number, (notebook, parameters) in enumerate(plans, start=1):
        place = f"{number} of {len(plans)}"
        typer.echo(f"running {notebook.name} on profile {profile} ({place})", err=True)
        try:
            results[notebook.stem] = str(run_notebook(notebook, parameters, progress=True))
        except Sam2VssError as error:
            typer.echo(f"error: {error}", err=True)
            failures.append(error)
    print_result(
        results, json_output, "\n".join(f"{p}: {_reuse(Path(p))}" for p in results.values())
    )
    if failures:
        # a single cause keeps its code; several different ones are a failed run
        codes = {failure.exit_code for failure in failures}
        raise typer.Exit(codes.pop() if len(codes) == 1 else RunError.exit_code)


def report(
    results_dir: Annotated[Path, typer.Argument(help="Results of a profile: results/demo.")],
    json_output: JsonOption = False,
) -> None:
    """Write report.html, index.html and tables.tex from the files of a study."""
    from sam2vss_lib.study.report import write_report

    page = write_report(results_dir)
    print_result({"report": str(page)}, json_output, str(page))


def _reuse(executed: Path) -> str:
    """How much of a notebook's shared work was there already."""
    from sam2vss_lib.files import read_json

    stages = read_json(executed.with_name("provenance.json"))["stages"]
    reused, total = (sum(stage[key] for stage in stages) for key in ("reused", "clips"))
    return f"{len(stages)} stages, {reused} of {total} clips reused"


def _assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a YAML value, so that 16 is a number and [a, b] a list."""
    name, separator, value = text.partition("=")
    if not separator:
        raise SettingsError(f"--set {text}: expected NAME=VALUE")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {text}: the value is not valid YAML") from None
