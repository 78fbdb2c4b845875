"""Running notebooks headlessly: parameters are checked first, outputs appear only when whole."""

from __future__ import annotations

import ast
import logging
import shutil
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from sam2vss_lib.errors import DataError, RunError, Sam2VssError, SettingsError
from sam2vss_lib.files import atomic_path
from sam2vss_lib.study.settings import load_profile, make_settings

_log = logging.getLogger(__name__)
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
EXECUTED = "executed.ipynb"
_ERRORS: dict[str, type[Sam2VssError]] = {
    error.__name__: error for error in (SettingsError, DataError, RunError)
}
_ERRORS["FileFault"] = DataError


def find_notebooks(only: str | None = None) -> list[Path]:
    """The study's notebooks in order.

    Args:
        only: comma-separated numbers such as "01,04"; None for all.

    Raises:
        SettingsError: a number without a notebook.
    """
    found = {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
    if only is None:
        return list(found.values())
    wanted = [number.strip().zfill(2) for number in only.split(",") if number.strip()]
    if unknown := [number for number in wanted if number not in found]:
        raise SettingsError(f"--only {unknown[0]}: no such notebook; there are {', '.join(found)}")
    return [found[number] for number in wanted]


def notebook_parameters(notebook: Path) -> dict[str, Any]:
    """Names and defaults of a notebook's parameters, read without running it.

    Raises:
        DataError: there is no cell tagged `parameters`, or it holds something else than literals.
    """
    cells: list[Any] = nbformat.read(notebook, as_version=4).cells
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise DataError(f"{notebook}: {len(tagged)} cells tagged parameters, expected one")
    defaults: dict[str, Any] = {}
    for statement in ast.parse(tagged[0].source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    defaults[name] = ast.literal_eval(value)
                except ValueError:
                    raise DataError(f"{notebook}: parameter {name} is not a literal") from None
            case _:
                raise DataError(f"{notebook}: the parameters cell holds more than assignments")
    return defaults


def plan_notebook(
    notebook: Path, profile: str, out: Path, overrides: dict[str, Any]
) -> dict[str, Any]:
    """Parameters of one run: the profile's over the notebook's, the caller's over both; checked.

    Args:
        notebook: the notebook.
        profile: name of the profile.
        out: results root; the notebook's folder is `<out>/<profile>/<notebook>`.
        overrides: parameters by name.

    Raises:
        SettingsError: an unknown name or a wrong value.
    """
    defaults = notebook_parameters(notebook)
    root = out.resolve() / profile
    given = {
        **load_profile(profile),
        **overrides,
        "profile": profile,
        "out_dir": str(root / notebook.stem),
        "stages_dir": str(root / "stages"),
    }
    if unknown := [name for name in given if name not in defaults]:
        known = ", ".join(defaults)
        raise SettingsError(
            f"{notebook.name} has no parameter {unknown[0]!r}; its parameters are: {known}"
        )
    make_settings({**defaults, **given})
    return given


def run_notebook(notebook: Path, parameters: dict[str, Any], *, progress: bool = False) -> Path:
    """Execute a notebook with papermill into its `out_dir`.

    Args:
        notebook: the notebook.
        parameters: of `plan_notebook`.
        progress: show papermill's progress bar.

    Returns:
        The executed copy; when the run fails, it is kept as `failed.ipynb` instead.

    Raises:
        Sam2VssError: the notebook's own error, as one line, or `RunError` for anything else.
    """
    folder = Path(parameters["out_dir"])
    executed, failed = folder / EXECUTED, folder / "failed.ipynb"
    failed.unlink(missing_ok=True)
    try:
        with atomic_path(executed) as temporary:
            try:
                papermill.execute_notebook(
                    str(notebook),
                    str(temporary),
                    parameters=parameters,
                    kernel_name="python3",
                    # a socket file and not a TCP port: nobody else on the machine can listen in
                    config=Config({"KernelManager": {"transport": "ipc"}}),
                    progress_bar=progress,
                    cwd=str(Path.cwd()),
                )
            except PapermillExecutionError:
                shutil.copy(temporary, failed)
                raise
    except PapermillExecutionError as error:
        kind = _ERRORS.get(error.ename, RunError)
        prefix = "" if kind is not RunError else f"{error.ename}: "
        reason = f"{prefix}{error.evalue}".splitlines()[0]
        raise kind(f"{notebook.stem}: {reason} (see {failed})") from None
    return executed
