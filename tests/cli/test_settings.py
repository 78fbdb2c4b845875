"""Options that are settings take help and defaults from the settings' fields."""

from collections.abc import Iterator
from typing import Any

import typer

from sam2vss_lib.cli import app
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.study.settings import BaseSystem, StudySettings

BY_COMMAND = {
    "apply": MaskletSettings,
    "masklets": MaskletSettings,
    "segment": InferenceOptions,
    "refine": RefineSettings,
}
# another thing of the same name: a clip list that is written to, folders of a command's own
OTHERS = {
    ("convert", "split"),
    *((c, "predictions") for c in ("apply", "masklets", "refine", "evaluate", "convert", "fit")),
}


def options(group: Any) -> Iterator[tuple[str, Any]]:
    """Commands with each of their options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from options(command)
        else:
            yield from ((name, one) for one in command.params if hasattr(one, "help"))


def test_options_say_what_the_fields_say():
    seen: set[tuple[str, str]] = set()
    for command, option in options(typer.main.get_command(app)):
        name = option.name.removesuffix("_name")  # `format` is a function of Python
        own = BY_COMMAND.get(command, StudySettings)
        models = (own, FillSettings, StudySettings, BaseSystem)
        field = next((m.model_fields[name] for m in models if name in m.model_fields), None)
        if field is None or (command, name) in OTHERS:
            continue
        seen.add((command, name))
        assert option.help.startswith(field.description), (command, name)
        extra: Any = field.json_schema_extra or {}
        paper = extra.get("paper")
        assert paper is None or f" In the paper: {paper}." in option.help, (command, name)
        if not option.required and not (
            command in ("apply", "masklets") and option.default is None
        ):
            default = {"profile": "demo"}.get(name, field.default)
            assert option.default == default, (command, name)
    assert {("masklets", "window"), ("segment", "precision"), ("refine", "overlap")} <= seen
    assert {("apply", "window"), ("apply", "device"), ("apply", "stray_labels")} <= seen
    assert {("masklets", "fill_every_frames"), ("masklets", "prompts")} <= seen
    assert {("masklets", "preset"), ("evaluate", "seed"), ("convert", "format")} <= seen
    assert {("verify", "stray_labels"), ("study", "profile"), ("masklets", "checkpoint")} <= seen
    assert {("segment", "split"), ("refine", "label_offset"), ("evaluate", "device")} <= seen
