"""Profiles: parameters for one data set and machine, laid over the notebooks' own."""

from pathlib import Path
from typing import Any

from sam2vss_lib.errors import SettingsError

_PROFILES = Path(__file__).parents[1] / "profiles"


def known_profiles() -> str:
    """The names of all profiles, in words."""
    return ", ".join(sorted(path.stem for path in _PROFILES.glob("*.yaml")))


def load_profile(name: str, notebook: str = "") -> dict[str, Any]:
    """Parameters of a profile, `study/profiles/<name>.yaml`, to be laid over a notebook's own.

    What its section `notebooks` holds for the notebook, such as 04, is laid over the rest.

    Raises:
        SettingsError: no such profile.
    """
    common = _read_profile(name)
    common.pop("only", None)
    of_notebooks = common.pop("notebooks", {})
    return {**common, **of_notebooks.get(notebook, {})}


def profile_notebooks(name: str) -> str | None:
    """Numbers of the notebooks that belong to a profile, as `--only` takes them; None for all.

    Raises:
        SettingsError: no such profile.
    """
    return _read_profile(name).get("only")


def _read_profile(name: str) -> dict[str, Any]:
    path = _PROFILES / f"{name}.yaml"
    if not path.is_file():
        raise SettingsError(f"unknown profile {name!r}; known are: {known_profiles()}")
    import yaml  # many load settings, few a profile

    return yaml.safe_load(path.read_text(encoding="utf-8"))
