"""The settings in words, made from their fields: the notebooks' table, and `docs/settings.md`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.feature_settings import FeatureSettings
from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.study.settings.study_settings import (
    IndependentSettings,
    NotebookSettings,
    StudySettings,
)
from sam2vss_lib.study.settings.systems import BaseSystem, EncoderSystem

if TYPE_CHECKING:
    import pandas as pd

_DOCS_HEADING = """# Settings

Everything that can be set, by the class that checks it. The command line's options and the tables
of the notebooks say the same: all are made from the classes' fields. `make docs` rewrites this
page. Values are written as in the profiles (YAML), as `--set NAME=VALUE` takes them too.
"""
_KINDS = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def settings_table(settings: NotebookSettings) -> pd.DataFrame:
    """A notebook's settings with their defaults and meanings, a row each.

    What is neither given nor on (empty, 0, or off) is left out, as are the places of results.
    """
    import pandas as pd  # settings are validated without it

    given_first = sorted(
        settings.identity(), key=lambda name: name not in settings.model_fields_set
    )
    rows = _rows(settings, given_first)
    return pd.DataFrame(rows, columns=["setting", "value", "default", "meaning"])


def _rows(settings: BaseModel, names: Iterable[str], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name in names:
        value, field = getattr(settings, name), type(settings).model_fields[name]
        if not value and name not in settings.model_fields_set:
            continue
        if isinstance(value, BaseModel):
            yield from _rows(value, type(value).model_fields, f"{name}.")
        else:
            default = "" if field.is_required() else _shown(field.default)
            yield prefix + name, _shown(value), default, str(field.description)


def _shown(value: Any) -> str:
    """A value in a cell; systems by their labels."""
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return value.label if isinstance(value, BaseSystem | EncoderSystem) else str(value)


def documented_settings() -> tuple[type, ...]:
    """The classes that docs have a table of: the notebooks' first, then those of single stages."""
    from sam2vss_lib.metrics.protocol import MetricSettings  # loads torch

    study = (NotebookSettings, StudySettings, IndependentSettings, BaseSystem, EncoderSystem)
    masklets = (MaskletSettings, Approximations, RefineSettings)
    features = (FeatureSettings, ClassifierSettings)
    return (*study, *masklets, InferenceOptions, *features, MetricSettings)


def settings_docs() -> str:
    """The text of `docs/settings.md`: a table per class, of the fields that it adds itself."""
    return "\n".join([_DOCS_HEADING, *map(_section, documented_settings())])


def _section(settings: type) -> str:
    schema = TypeAdapter(settings).json_schema()
    words = " ".join(str(inspect.getdoc(settings)).split("\n\n")[0].split())
    if more := [_link(b.__name__) for b in settings.__bases__ if b not in (BaseModel, object)]:
        words += f" It has all of {' and '.join(more)} besides."
    lines = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    for name in inspect.get_annotations(settings):
        if field := schema["properties"].get(name):
            default = "" if name in schema.get("required", ()) else _default(field)
            lines.append(
                f"| `{name}` | {_values(field)} | {default} | {field.get('description')} |"
            )
    return "\n".join([f"## {settings.__name__}\n\n{words}\n", *lines, ""])


def _default(field: dict[str, Any]) -> str:
    return "its defaults" if "$ref" in field else f"`{json.dumps(field['default'])}`"


def _values(field: dict[str, Any]) -> str:
    """What a field of a JSON schema may be, in words."""
    if "$ref" in field:
        return _link(field["$ref"].rpartition("/")[2])
    if "anyOf" in field:
        return " or ".join(map(_values, field["anyOf"]))
    if choices := field.get("enum", [field["const"]] if "const" in field else None):
        return ", ".join(f"`{choice}`" for choice in choices)
    if field["type"] == "array":
        return f"list of {_values(field['items'])}"
    bounds = [f"{sign} {field[key]}" for key, sign in _BOUNDS.items() if key in field]
    return f"{_KINDS[field['type']]} {', '.join(bounds)}".rstrip()


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"
