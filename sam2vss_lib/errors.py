"""Errors a user can act on: one clear line each, and the exit code the command line returns."""

from collections.abc import Generator
from contextlib import contextmanager

#: packages that only an extra of pyproject.toml brings, as they are imported -> that extra
EXTRAS = {
    **dict.fromkeys(("anywidget", "ipykernel", "ipywidgets", "jinja2", "jupyter_client"), "study"),
    **dict.fromkeys(("jupyter_core", "matplotlib", "nbformat", "pandas", "papermill"), "study"),
    **dict.fromkeys(("seaborn", "tabulate", "traitlets"), "study"),
    "ray": "cluster",
}


class Sam2VssError(Exception):
    """Base of all errors raised on purpose; its message names what is wrong, where, and the fix."""

    exit_code = 4


class SettingsError(Sam2VssError):
    """Arguments or settings that cannot be used (exit code 2)."""

    exit_code = 2


class MissingExtra(SettingsError):
    """A package that only an extra of this one brings is not installed (exit code 2)."""


class DataError(Sam2VssError):
    """Missing or bad data, predictions, stores or weights (exit code 3)."""

    exit_code = 3


class RunError(Sam2VssError):
    """A run that started well and failed on the way (exit code 4)."""

    exit_code = 4


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not empty, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def naming_extras() -> Generator[None]:
    """Say which extra brings a package that the block imports and that is not installed.

    Raises:
        MissingExtra: it is one of `EXTRAS`; any other error passes.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtra(
            f"{package} is not installed, which this command needs; "
            f'pip install "sam2vss[{EXTRAS[package]}]"'
        ) from None
