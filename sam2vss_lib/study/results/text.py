r"""Numbers as text, for tables, sentences and pages; tables in LaTeX, which need booktabs alone."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pandas as pd

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


_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "→": r"$\to$", "≥": r"$\geq$",
    "≤": r"$\leq$", "“": "``", "”": "''", "…": r"\dots{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}  # fmt: skip


def escape(text: object) -> str:
    r"""Text with everything replaced that LaTeX would read as a command.

    Example:
        >>> escape("50% of I-SAM2_base")
        '50\\% of I-SAM2\\_base'
    """
    return "".join(_ESCAPES.get(character, character) for character in str(text))


def flat_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A table with the two levels of its columns' names, where there are two, joined."""
    names = [(column,) if isinstance(column, str) else column for column in table.columns]
    return table.set_axis([" ".join(filter(None, parts)) for parts in names], axis=1)


def markdown_table(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    return flat_columns(table).to_markdown(index=False)


def _cell(text: object) -> str:
    """Text with an interval at its end set small."""
    return re.sub(r" (\[[^][]*\])$", r" {\\scriptsize \1}", escape(text))


def latex_table(table: pd.DataFrame, caption: str, label: str, *, wide: bool = False) -> str:
    """A table of text as a floating table, `wide` over all columns of the page.

    Its columns have one name or two, of which the upper is that of a group or "". The caption is
    in LaTeX; `tab:` is put before the label.
    """
    groups = [column[0] if isinstance(column, tuple) else "" for column in table.columns]
    small: Any = {"selector": "footnotesize", "props": r":\setlength{\tabcolsep}{3pt};"}
    styler = table.map(_cell).style.hide(axis="index").set_table_styles([small])
    styler.format_index(escape, axis="columns")
    text: str = styler.to_latex(
        column_format=f"@{{}}{''.join('r' if group else 'l' for group in groups) or 'l'}@{{}}",
        position="t",
        position_float="centering",
        hrules=True,
        multicol_align="c",
        caption=caption,
        label=f"tab:{label}",
        environment="table*" if wide else "table",
    )
    rules, first = "", 1
    for group, columns in groupby(groups):
        last = first + len([*columns]) - 1
        rules += f"\\cmidrule(lr){{{first}-{last}}}" if group else ""
        first = last + 1
    return text.replace(" \\\\\n", f" \\\\\n{rules}\n", 1) if rules else text
