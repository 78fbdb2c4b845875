"""Numbers as text, for tables, sentences and pages."""

from __future__ import annotations

from collections.abc import Iterable

from sam2vss_lib.metrics import Gain

DASH = "–"


def number_text(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A number, or a dash where there is none.

    Example:
        >>> number_text(1.236), number_text(1.236, 1, sign=True), number_text(None)
        ('1.24', '+1.2', '–')
    """
    return DASH if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def gain_text(value: float | None, digits: int = 2) -> str:
    """A difference with its sign, with a true minus."""
    return number_text(value, digits, sign=True).replace("-", "−")


def interval_text(gain: Gain | None) -> str:
    """A gain with its interval; a dash where there is none.

    Example:
        >>> interval_text(Gain(1.5, 0.5, 2.5)), interval_text(Gain(-1.0))
        ('+1.50 [+0.50, +2.50]', '-1.00')
    """
    if gain is None or gain.gain is None:
        return DASH
    text = number_text(gain.gain, sign=True)
    if gain.low is None or gain.high is None:
        return text
    low, high = (number_text(end, sign=True) for end in (gain.low, gain.high))
    return f"{text} [{low}, {high}]"


def range_text(values: Iterable[float], *, sign: bool = True) -> str:
    """The smallest and the largest of several numbers, or the one that all are.

    Example:
        >>> range_text([1.24]), range_text([-0.5, 2.0, 1.0]), range_text([3, 4], sign=False)
        ('+1.2', '-0.5 to +2.0', '3.0 to 4.0')
    """
    ordered = sorted(values)
    low, high = (number_text(end, 1, sign=sign) for end in (ordered[0], ordered[-1]))
    return low if low == high else f"{low} to {high}"
