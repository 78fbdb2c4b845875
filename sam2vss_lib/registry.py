"""Registries: what there is of a kind, by name; the code behind a name is loaded when it is used.

Settings, the command line, tables and docs are made from registries, so that a new vote rule,
metric or masklet engine is one module and one line. Importing a registry loads no torch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from sam2vss_lib.errors import SettingsError


@dataclass(frozen=True)
class Entry:
    """One of a kind."""

    code: str  # where its code is, as `package.module:name`
    description: str  # half a sentence for `--help`, settings tables and docs

    def load(self) -> Any:
        """Import the code."""
        module, _, name = self.code.partition(":")
        return getattr(import_module(module), name)


EntryT = TypeVar("EntryT", bound=Entry)


class Registry(dict[str, EntryT]):
    """Entries of a kind by name, in the order in which they are shown; anybody may add one.

    Example:
        >>> shapes = Registry("shape", {"round": Entry("math:pi", "like a ball")})
        >>> shapes["square"] = Entry("math:sqrt", "like a chessboard")
        >>> shapes.find("square").load()(9.0)
        3.0
        >>> shapes.checked("oval")
        Traceback (most recent call last):
        ...
        ValueError: unknown shape 'oval'; known are: round, square
    """

    def __init__(self, kind: str, entries: dict[str, EntryT]) -> None:
        super().__init__(entries)
        self.kind = kind

    def checked(self, name: str) -> str:
        """The name, as a validator of pydantic.

        Raises:
            ValueError: there is no such entry.
        """
        if name not in self:
            raise ValueError(f"unknown {self.kind} {name!r}; known are: {', '.join(self)}")
        return name

    def find(self, name: str) -> EntryT:
        """An entry.

        Raises:
            SettingsError: there is no such entry.
        """
        try:
            return self[self.checked(name)]
        except ValueError as error:
            raise SettingsError(str(error)) from None

    def in_words(self) -> str:
        """All entries with their descriptions, for `--help`."""
        return "; ".join(f"{name}: {entry.description}" for name, entry in self.items())
