"""The settings of a notebook in words, made from their fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from sam2vss_lib.study.settings.study_settings import NotebookSettings
from sam2vss_lib.study.settings.systems import BaseSystem, EncoderSystem

if TYPE_CHECKING:
    import pandas as pd


def settings_table(settings: NotebookSettings) -> pd.DataFrame:
    """A notebook's settings with defaults, the paper's values and meanings, a row each.

    Those that differ from their default are marked as changed. What is neither given nor on
    (empty, 0, or off) is left out, as are the places of results.
    """
    import pandas as pd  # settings are validated without it

    given_first = sorted(
        settings.identity(), key=lambda name: name not in settings.model_fields_set
    )
    rows = _rows(settings, given_first)
    columns = ["setting", "value", "changed", "default", "paper", "meaning"]
    return pd.DataFrame(rows, columns=columns)


def _rows(settings: BaseModel, names: Iterable[str], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name in names:
        value, field = getattr(settings, name), type(settings).model_fields[name]
        if not value and name not in settings.model_fields_set:
            continue
        if isinstance(value, BaseModel):
            yield from _rows(value, type(value).model_fields, f"{name}.")
        else:
            default = "" if field.is_required() else _shown(field.default)
            changed = "●" if default and _shown(value) != default else ""
            extra = field.json_schema_extra
            paper = str(extra.get("paper", "")) if isinstance(extra, dict) else ""
            yield prefix + name, _shown(value), changed, default, paper, str(field.description)


def _shown(value: Any) -> str:
    """A value in a cell; systems by their labels."""
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return value.label if isinstance(value, BaseSystem | EncoderSystem) else str(value)
