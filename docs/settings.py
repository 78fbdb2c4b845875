"""Prints `settings.md`, made from the fields of all settings; `make docs` writes it."""

import inspect
import json
from typing import Any

from pydantic import BaseModel, TypeAdapter

from sam2vss_lib.fusion.fit_settings import FitSettings
from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.feature_settings import FeatureSettings
from sam2vss_lib.isam2.words.settings import LookSettings, WordSettings
from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.metrics.protocol import MetricSettings
from sam2vss_lib.refinement.settings import FusionSettings, RefineSettings
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.study.settings import NotebookSettings, QuickStartSettings, StudySettings
from sam2vss_lib.study.settings.study_settings import BeyondSettings, IndependentSettings
from sam2vss_lib.study.settings.systems import BaseSystem, EncoderSystem, OtherData

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


def documented_settings() -> tuple[type, ...]:
    """The classes that docs have a table of: the notebooks' first, then those of single stages."""
    study = (
        NotebookSettings,
        QuickStartSettings,
        StudySettings,
        IndependentSettings,
        BeyondSettings,
    )
    systems = (BaseSystem, EncoderSystem, OtherData)
    masklets = (MaskletSettings, Approximations, FillSettings, FusionSettings, RefineSettings)
    features = (FeatureSettings, ClassifierSettings, LookSettings, WordSettings, FitSettings)
    return (*study, *systems, *masklets, InferenceOptions, *features, MetricSettings)


def settings_docs() -> str:
    """The text of `docs/settings.md`: a table per class, of the fields that it adds itself."""
    return "\n".join([_DOCS_HEADING, *map(_section, documented_settings())])


def _section(settings: type) -> str:
    schema = TypeAdapter(settings).json_schema()
    words = " ".join(str(inspect.getdoc(settings)).split("\n\n")[0].split())
    if more := [_link(b.__name__) for b in settings.__bases__ if b not in (BaseModel, object)]:
        words += f" It has all of {' and '.join(more)} besides."
    rows = [("setting", "values", "default", "paper", "meaning")]
    for name in inspect.get_annotations(settings):
        if field := schema["properties"].get(name):
            default = "" if name in schema.get("required", ()) else _default(field)
            said = field.get("paper", ""), str(field.get("description"))
            rows.append((f"`{name}`", _values(field), default, *said))
    shown = [i for i in range(len(rows[0])) if i != 3 or any(row[i] for row in rows[1:])]
    lines = [f"| {' | '.join(row[i] for i in shown)} |" for row in rows]
    lines.insert(1, "|---" * len(shown) + "|")
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


if __name__ == "__main__":
    print(settings_docs(), end="")
