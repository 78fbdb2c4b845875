r"""Tables in LaTeX, to be put into a paper by \input; they need booktabs alone."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

import pandas as pd

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
