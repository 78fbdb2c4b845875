"""Errors a user can act on: one clear line each, and the exit code the command line returns."""

from __future__ import annotations


class Sam2VssError(Exception):
    """Base of all errors raised on purpose; its message names what is wrong, where, and the fix."""

    exit_code = 4


class SettingsError(Sam2VssError):
    """Arguments or settings that cannot be used (exit code 2)."""

    exit_code = 2


class DataError(Sam2VssError):
    """Missing or bad data, predictions, stores or weights (exit code 3)."""

    exit_code = 3


class RunError(Sam2VssError):
    """A run that started well and failed on the way (exit code 4)."""

    exit_code = 4


def first_line(error: Exception) -> str:
    """The first line of an error's text that is not empty, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
