"""Options of a command made from the fields of its settings: names, defaults and help said once."""

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Annotated, Any, Literal, Optional, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.validation import validated

_REQUIRED = inspect.Parameter.empty


def with_settings(
    settings: type[BaseModel],
    *,
    without: Collection[str] = (),
    preset: Callable[[str], dict[str, Any]] | None = None,
    preset_fields: Collection[str] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of its settings, which it takes as its first argument.

    What a value must be is for the settings to say, in one line. A command with two kinds of
    settings has two decorators, of which the inner one is for its first argument. With a `preset`,
    which gives values by its name, there is an option --preset, to be changed by the others;
    `preset_fields` then have no default of their own.
    """
    fields = {n: f for n, f in settings.model_fields.items() if n not in without}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        first, *others = signature.parameters.values()

        @wraps(command)
        def run(**options: Any) -> None:
            values = {name: options.pop(name) for name in fields}
            if preset is not None:
                given = {n: v for n, v in values.items() if v is not None or n not in preset_fields}
                values = {**preset(options.pop("preset")), **given}
            command(**{first.name: validated(settings, values, "option")}, **options)

        made = [_option(name, field, unset=name in preset_fields) for name, field in fields.items()]
        if preset is not None:
            made.insert(0, _option("preset", StudySettings.model_fields["preset"]))
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*made, *others)]
        parameters.sort(key=lambda p: p.default is not _REQUIRED)  # these first, else as they come
        run.__dict__["__signature__"] = signature.replace(parameters=parameters)
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def option_of(settings: type[BaseModel], name: str) -> Any:
    """Make the option for one field, for a command that takes it without the other settings."""
    field = settings.model_fields[name]
    least = next((rule.ge for rule in field.metadata if hasattr(rule, "ge")), None)
    return typer.Option(f"--{name.replace('_', '-')}", min=least, help=_help(field))


def _help(field: FieldInfo) -> str:
    """The field's sentence, what the paper takes, and its choices if there are some."""
    said = str(field.description)
    if isinstance(field.json_schema_extra, dict) and "paper" in field.json_schema_extra:
        said += f" In the paper: {field.json_schema_extra['paper']}."
    if get_origin(field.annotation) is not Literal:
        return said
    return f"{said} One of: {', '.join(map(str, get_args(field.annotation)))}."


def _option(name: str, field: FieldInfo, *, unset: bool = False) -> inspect.Parameter:
    """A keyword with typer's annotation; one that is unset takes its default elsewhere."""
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        kind = type(get_args(kind)[0])
    if unset and type(None) not in get_args(kind):
        kind = Optional[kind]  # noqa: UP045 - of a type that is only known here
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=_REQUIRED if field.is_required() else None if unset else field.default,
        annotation=Annotated[kind, typer.Option(help=_help(field))],
    )
