"""Settings from the cells of a notebook: those that hold nothing but assignments of literals."""

import ast
from typing import Any

from sam2vss_lib.study.settings.quick_start import QuickStartSettings
from sam2vss_lib.study.settings.study_settings import NotebookSettings, StudySettings, make_settings
from sam2vss_lib.validation import validated


def notebook_settings(namespace: dict[str, Any]) -> StudySettings:
    """Settings from a notebook's `globals()`; to be called in the cell after its parameters.

    Every name that a cell of plain assignments has set counts as a parameter, so that a mistyped
    one that papermill injected is found, and the cell can be run again after the later ones.

    Raises:
        SettingsError: see `make_settings`.
    """
    return make_settings(_assigned_in_ipython(namespace))


def settings_without_data(namespace: dict[str, Any]) -> NotebookSettings:
    """As `notebook_settings`, for a notebook that uses no data set."""
    return validated(NotebookSettings, _assigned_in_ipython(namespace), "parameter")


def quick_start_settings(namespace: dict[str, Any]) -> QuickStartSettings:
    """As `notebook_settings`, for the quick start."""
    return validated(QuickStartSettings, _assigned_in_ipython(namespace), "parameter")


def _assigned_in_ipython(namespace: dict[str, Any]) -> dict[str, Any]:
    """Values of the names that cells of plain assignments have set; IPython keeps cells in `In`."""
    cells = (literal_assignments(source) or {} for source in namespace["In"])
    names = dict.fromkeys(name for assigned in cells for name in assigned)
    return {name: namespace[name] for name in names if name in namespace}


def literal_assignments(source: str) -> dict[str, Any] | None:
    """Names and values of a cell that holds nothing but assignments of literals; else None."""
    try:
        statements = ast.parse(source).body
        values = [
            (statement.targets[0].id, ast.literal_eval(statement.value))
            for statement in statements
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        ]
    except (SyntaxError, ValueError):
        return None
    return dict(values) if len(values) == len(statements) else None
