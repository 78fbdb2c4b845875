"""Values from outside made usable: settings as one checked model, and a device that is there."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sam2vss_lib.errors import DataError, SettingsError, first_line

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: dict[str, Any], noun: str) -> Model:
    """Validate `values` as `model`, turning pydantic's report into one line about a `noun`.

    Raises:
        SettingsError: the first thing that is wrong, with the names that would be right.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if not name:  # a rule about several fields names them itself
            raise SettingsError(first["msg"].removeprefix("Value error, ")) from None
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise SettingsError(f"unknown {noun} {name!r}; known are: {known}") from None
        if first["type"] == "value_error":  # ours, which name what was given
            said = first["msg"].removeprefix("Value error, ")
        else:
            given = f", not {first['input']!r}" if first["type"] != "missing" else ""
            said = f"{first['msg']}{given}"
        raise SettingsError(f"{noun} {name!r}: {said}") from None


def parsed(model: type[Model], values: Mapping[str, Any], where: str, hint: str = "") -> Model:
    """Validate the contents of a file as `model`.

    Args:
        model: the pydantic model.
        values: the contents.
        where: the file, for the message.
        hint: what the user may do about it.

    Raises:
        DataError: the first field that is missing or wrong; one line.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {field}: {first['msg']}{hint}") from None


def resolve_device(device: str) -> str:
    """A usable torch device name.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        SettingsError: no such device on this machine.
    """
    import torch  # settings are validated without it

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {device!r}: not usable here ({first_line(error)})") from None
    return device
