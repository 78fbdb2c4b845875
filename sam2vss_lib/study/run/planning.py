"""What a study run will do: parameters of every notebook, and the masklets it will ask for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.run.runner import TIMED, notebook_parameters, plan_notebook
from sam2vss_lib.study.settings import StudySettings, make_settings

Plans = Mapping[Path, dict[str, Any]]


def plan_study(
    notebooks: Sequence[Path], profile: str, out: Path, overrides: dict[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Parameters of several notebooks; each is given those of the overrides that it has.

    Raises:
        SettingsError: an override that no notebook has, or a wrong value.
    """
    known = {notebook: notebook_parameters(notebook) for notebook in notebooks}
    every = dict.fromkeys(name for parameters in known.values() for name in parameters)
    if unknown := [name for name in overrides if name not in every]:
        there = ", ".join(every)
        raise SettingsError(f"no notebook has a parameter {unknown[0]!r}; there are: {there}")
    return {
        notebook: plan_notebook(
            notebook, profile, out, {k: v for k, v in overrides.items() if k in known[notebook]}
        )
        for notebook in notebooks
    }


def planned_settings(plans: Plans) -> dict[Path, StudySettings]:
    """Settings of the notebooks that use a data set, those that only time things left out."""
    given = {notebook: {**notebook_parameters(notebook), **own} for notebook, own in plans.items()}
    return {
        notebook: make_settings(parameters)
        for notebook, parameters in given.items()
        if "dataset" in parameters and notebook.stem[:2] not in TIMED
    }


def wanted_masklets(settings: StudySettings) -> list[MaskletSettings]:
    """Settings of the masklets that a notebook will ask for."""
    if settings.sweep is not None:
        return list(settings.masklet_sweep().values())
    return [settings.masklets] if settings.base_systems else []
