"""Values from outside: one line that names what is wrong, or a usable value."""

from typing import Any

import pytest
from pydantic import BaseModel, model_validator

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.validation import resolve_device, validated


class Span(BaseModel, extra="forbid", strict=True):
    first: int
    last: int = 9

    @model_validator(mode="after")
    def _ordered(self) -> "Span":
        if self.last < self.first:
            raise ValueError("last comes before first")
        return self


def test_values_become_a_model():
    assert validated(Span, {"first": 3}, "option") == Span(first=3, last=9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"first": 3, "lst": 4}, "unknown option 'lst'; known are: first, last"),
        ({"first": "3"}, "option 'first': Input should be a valid integer, not '3'"),
        ({}, "option 'first': Field required"),
        ({"first": 3, "last": 2}, "last comes before first"),
    ],
)
def test_wrong_values_give_one_line(values: dict[str, Any], message: str):
    with pytest.raises(SettingsError) as caught:
        validated(Span, values, "option")
    assert str(caught.value) == message


def test_device_is_checked():
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(SettingsError, match="device 'abacus': not usable here"):
        resolve_device("abacus")
