"""Running notebooks headlessly: parameters are checked first, outputs appear only when whole."""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Event
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from sam2vss_lib.errors import DataError, RunError, Sam2VssError, SettingsError, first_line
from sam2vss_lib.storage.places import NOTEBOOKS, PROJECT
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.study.run.run_folder import (
    EXECUTED,
    FAILED,
    keep_failure,
    keep_results,
    working_folder,
)
from sam2vss_lib.study.run.warm_kernel import StudyKernelManager
from sam2vss_lib.study.settings import (
    BaseSystem,
    NotebookSettings,
    QuickStartSettings,
    load_profile,
    make_settings,
)
from sam2vss_lib.study.settings.notebook_cells import literal_assignments
from sam2vss_lib.study.settings.paths import parameters_from
from sam2vss_lib.validation import validated

#: numbers of the notebooks that time their own work: nothing is computed for them beforehand, and
#: nothing runs beside them
TIMED = ("08",)
#: number of the notebook that is a guide and no part of the study: it is run only if asked for
#: notebooks that are run when they are asked for: the guide, and what goes beyond the paper
ASKED_FOR = frozenset({"00", "09"})
_SHORT_BYTES = 60  # of a folder for sockets
_log = logging.getLogger(__name__)
#: by the name that papermill gives; all others are a `RunError`
_ERRORS = {"SettingsError": SettingsError, "DataError": DataError, "FileFault": DataError}


def find_notebooks(only: str | None = None) -> list[Path]:
    """The study's notebooks in order, or only those of numbers such as "01,04".

    Those of `ASKED_FOR` are there by number only.

    Raises:
        SettingsError: a number without a notebook.
    """
    found = {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
    if only is None:
        return [path for number, path in found.items() if number not in ASKED_FOR]
    wanted = [number.strip().zfill(2) for number in only.split(",") if number.strip()]
    if not wanted:
        raise SettingsError(f"--only {only!r}: names no notebook; there are {', '.join(found)}")
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
    defaults = literal_assignments(tagged[0].source)
    if defaults is None:
        raise DataError(f"{notebook}: the parameters cell holds more than assignments of literals")
    return defaults


def plan_notebook(
    notebook: Path, profile: str, out: Path, overrides: dict[str, Any]
) -> dict[str, Any]:
    """Parameters of one run: the profile's over the notebook's, the caller's over both; checked.

    A notebook without a parameter `dataset` uses none, and takes of the profile what it knows.

    Raises:
        SettingsError: an unknown name or a wrong value.
    """
    defaults = notebook_parameters(notebook)
    if fixed := {"profile", "out_dir", "stages_dir"} & overrides.keys():
        raise SettingsError(f"parameter {min(fixed)!r} follows from the profile and --out")
    root = out.resolve() / profile
    common = load_profile(profile, notebook.stem[:2])
    given = {**common, **parameters_from(overrides, Path.cwd()), "profile": profile}
    # a quick try on a few clips must not replace the results of all of them
    tried = f"_first_{overrides['max_clips']}" if overrides.get("max_clips") else ""
    given["out_dir"] = str(root / f"{notebook.stem}{tried}")
    given["stages_dir"] = str(root / "stages")
    without_data = "dataset" not in defaults
    if without_data:
        given = {k: v for k, v in given.items() if k in defaults or k in overrides}
    if unknown := [name for name in given if name not in defaults]:
        said = f"has no parameter {unknown[0]!r}; its parameters are: {', '.join(defaults)}"
        raise SettingsError(f"{notebook.name} {said}")
    if without_data:
        kind = QuickStartSettings if "source" in defaults else NotebookSettings
        validated(kind, {**defaults, **given}, "parameter")
    else:
        make_settings({**defaults, **given})
    return given


def check_base_systems(plans: Mapping[Path, dict[str, Any]]) -> None:
    """Refuse base systems that cannot be run, which the caller has named.

    (Those of a profile stay in the tables, where their rows say what they lack.)

    Raises:
        DataError: one has neither predictions nor weights.
    """
    for given in plans.values():
        for system in (BaseSystem(**fields) for fields in given.get("base_systems", ())):
            if lack := system.lacks(PROJECT):
                raise DataError(f"base system {system.label}: {lack}; check the path")


def run_notebook(
    notebook: Path,
    parameters: dict[str, Any],
    *,
    progress: bool = False,
    stopping: Event | None = None,
    threads: int | None = None,
) -> Path:
    """Execute a notebook with papermill; its results replace those of earlier runs if it succeeds.

    A run that fails leaves `failed.ipynb` and `status.json` in `out_dir`, and moves earlier results
    to `earlier/` in it. One that is interrupted, whose kernel is ended while `stopping` is set,
    leaves `out_dir` as it was: the notebook itself is given a working folder. A progress bar over
    cells is shown on a terminal only. The kernel computes with all threads, or so many.

    Returns:
        The executed copy, `<out_dir>/executed.ipynb`.

    Raises:
        Sam2VssError: the notebook's own error, as one line, or `RunError` for anything else.
    """
    folder = Path(parameters["out_dir"]).resolve()  # a link to it stays
    check_folder(folder)
    # papermill hands a dict to tqdm, where `disable=None` means off without a terminal
    bar: Any = {"desc": notebook.stem, "disable": None} if progress else False
    with working_folder(folder) as working, _sockets() as sockets:
        executed = working / EXECUTED
        shutil.copy(notebook, executed)  # for a failure before papermill has written anything
        try:
            papermill.execute_notebook(
                _literal(notebook),
                _literal(executed),
                parameters={**parameters, "out_dir": str(working)},
                kernel_name="python3",
                config=Config(
                    {
                        # a socket file and not a TCP port: nobody else on the machine can listen in
                        "KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"},
                        # kernels are interrupted before they are shut down, and would log it
                        "NotebookClient": {
                            "extra_arguments": ["--log-level=CRITICAL"],
                            "kernel_manager_class": StudyKernelManager,
                        },
                        "StudyKernelManager": {"threads": threads or 0},
                    }
                ),
                progress_bar=bar,
                cwd=str(Path.cwd()),
            )
        except Exception as error:
            if stopping is not None and stopping.is_set():
                raise RunError(f"{notebook.stem}: interrupted") from None
            kind, reason = _failure(error)
            reason = reason.replace(str(working), str(folder))
            _say_where(executed, working, folder)
            keep_failure(folder, working, reason)
            raise kind(f"{notebook.stem}: {reason} (see {folder / FAILED})") from None
        _say_where(executed, working, folder)
        keep_results(folder, working)
    return folder / EXECUTED


def _sockets() -> TemporaryDirectory[str]:
    """A folder for one kernel's sockets, whose paths may have no more than 107 bytes."""
    here, short = gettempdir(), Path("/tmp")
    place = here if len(os.fsencode(here)) <= _SHORT_BYTES or not short.is_dir() else short
    return TemporaryDirectory(prefix="sam2vss-", dir=place)


def _literal(path: Path) -> str:
    """A path for papermill, which fills in parameters where a path has braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _failure(error: Exception) -> tuple[type[Sam2VssError], str]:
    """What an error of papermill is to the caller, and its reason in one line."""
    if not isinstance(error, PapermillExecutionError):  # such as a kernel killed for its memory
        return RunError, f"{type(error).__name__}: {first_line(error)}"
    kind = _ERRORS.get(error.ename, RunError)
    prefix = "" if kind is not RunError else f"{error.ename}: "
    return kind, f"{prefix}{error.evalue}".splitlines()[0]


def _say_where(executed: Path, working: Path, folder: Path) -> None:
    """Name the final folder in an executed notebook, which ran with its working folder."""
    text = executed.read_text(encoding="utf-8")
    executed.write_text(text.replace(str(working), str(folder)), encoding="utf-8")
