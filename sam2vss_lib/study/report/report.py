"""A results folder as one self-contained page, an index of its files, and LaTeX tables."""

import base64
import json
from collections import Counter
from itertools import count, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sam2vss_lib.errors import DataError
from sam2vss_lib.metrics import Gain
from sam2vss_lib.storage.files import write_text
from sam2vss_lib.study.report.sections import (
    Figure,
    Section,
    cell_status,
    printed_text,
    read_sections,
)
from sam2vss_lib.study.results.schema import Result, Row
from sam2vss_lib.study.results.tables import paired_table
from sam2vss_lib.study.results.text import (
    DASH,
    escape,
    gain_text,
    interval_text,
    latex_table,
    number_text,
)
from sam2vss_lib.study.run.runner import find_notebooks

#: cell status -> (mark, meaning); the mark stands beside the number, so colour is never needed
MARKS = {
    "reproduced": ("✓", "reproduced within tolerance"),
    "off": ("≠", "off: further from the paper than the tolerance"),
    "partial": ("◐", "partial: only some of the paper's clips"),
    "not comparable": ("∦", "not comparable: other data than the paper's"),
    "demo": ("◇", "not comparable (demo): generated clips and a micro model"),
    "ours only": ("", "the paper prints no number"),
    "no value": ("", "could not be computed"),
    "not run": ("", "not run"),
}
_LARGEST_SVG = 400_000  # bytes; above, the picture is mostly pixels and PNG is smaller
_PLOT = 100.0  # width of an interval glyph in its own units


def write_report(results_dir: Path) -> Path:
    """Write `report.html`, `index.html` and `tables.tex` into `results/<profile>`, from its files.

    Returns:
        Path of `report.html`: one file, images inside, no script, nothing loaded from elsewhere.

    Raises:
        DataError: there are no results.
    """
    sections = read_sections(results_dir, find_notebooks())
    page = {
        "profile": results_dir.resolve().name,
        "sections": sections,
        "cells": _count_cells(sections),
        "verdicts": Counter(c.verdict for s in sections for c in s.result.claims),
        "demo": any(section.result.demo for section in sections),
        "marks": MARKS,
    }
    environment = _environment(results_dir)
    report = results_dir / "report.html"
    write_text(results_dir / "tables.tex", latex_tables(sections))
    write_text(report, environment.get_template("report.html.j2").render(page))
    write_text(results_dir / "index.html", environment.get_template("index.html.j2").render(page))
    return report


def _environment(results_dir: Path) -> Environment:
    """Templates with everything escaped, and the helpers they use."""
    environment = Environment(
        loader=PackageLoader("sam2vss_lib.study.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: dict[str, Any] = {
        "status_of": cell_status,
        "number": number_text,
        "printed": lambda value: printed_text(value) or DASH,
        "gain_text": gain_text,
        "interval": interval_glyph,
        "scale": gain_scale,
        "footnotes": footnotes,
        "data_uri": data_uri,
        # as its notebook would write it
        "setting_text": lambda value: value if isinstance(value, str) else json.dumps(value),
        "relative": lambda path: path.relative_to(results_dir).as_posix(),
    }
    environment.globals.update(helpers)
    return environment


def _count_cells(sections: list[Section]) -> Counter[str]:
    """How many cells that the paper prints have which status."""
    return Counter(
        cell_status(section.result, row, metric)
        for section in sections
        for row in section.result.rows
        for metric, value in row.paper.items()
        if value is not None
    )


def gain_scale(result: Result, metric: str) -> float:
    """Largest distance from zero that a column of gains has to show."""
    ends = [
        abs(value)
        for row in result.rows
        for gain in [row.gains.get(metric, Gain())]
        for value in (gain.gain, gain.low, gain.high, row.paper_gains.get(metric))
        if value is not None
    ]
    return max(ends, default=0.0) or 1.0


def interval_glyph(gain: Gain, paper: float | None, scale: float) -> dict[str, float | None]:
    """Places of a gain, its interval and the paper's gain on a line from -scale to scale.

    Returns:
        `gain`, `low`, `high`, `paper`, each 0 to 100, or None.
    """
    values = {"gain": gain.gain, "low": gain.low, "high": gain.high, "paper": paper}
    return {
        name: None if value is None else round(_PLOT / 2 * (1 + value / scale * 0.94), 2)
        for name, value in values.items()
    }


def footnotes(rows: list[Row]) -> dict[str, str]:
    """What rows were run on, or why they were not -> a letter for each."""
    letters = (word for length in count(1) for word in product(ascii_lowercase, repeat=length))
    return dict(zip(dict.fromkeys(row.remark for row in rows), map("".join, letters), strict=False))


def data_uri(figure: Figure) -> str:
    """A figure's picture as a data URI: vector where that is not much larger.

    Raises:
        DataError: the file cannot be read.
    """
    path, kind = figure.svg, "image/svg+xml"
    if path is None or (figure.png is not None and path.stat().st_size > _LARGEST_SVG):
        path, kind = figure.png, "image/png"
    try:
        data = path.read_bytes() if path is not None else b""
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror})") from None
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def latex_tables(sections: list[Section]) -> str:
    """Values and gains of every notebook that has rows, as floating tables."""
    parts = [
        "% Made from result.json of every notebook. In the preamble: \\usepackage{booktabs}\n"
        "% Include with \\input{tables.tex}; labels are tab:<notebook> and tab:<notebook>-gains.\n"
    ]
    for section in sections:
        if section.state != "run":
            parts.append(f"% {section.name}: {section.state}: {' '.join(section.reason.split())}\n")
            continue
        result = section.result
        if result.rows and result.metrics:
            parts.append(_table(section, result.rows, gains=False))
            if with_gains := [row for row in result.rows if row.gains]:
                parts.append(_table(section, with_gains, gains=True))
    return "\n".join(parts)


def _table(section: Section, rows: list[Row], *, gains: bool) -> str:
    """A column pair, ours and the paper's, for every metric."""
    result = section.result

    def cells(row: Row, metric: str) -> tuple[str, str]:
        if gains:
            ours = interval_text(row.gains.get(metric)).replace("-", "−")
            return ours, gain_text(row.paper_gains.get(metric), 1)
        return number_text(row.ours.get(metric)), printed_text(row.paper.get(metric)) or DASH

    groups = {metric: metric if gains else f"{metric} (%)" for metric in result.metrics}
    ours = "ours (demo)" if result.demo else "ours"
    table = paired_table(rows, "Method", groups, cells, ours)
    what = "Gains in points with 95\\,\\% intervals" if gains else "Values"
    demo = r"\textbf{Demo data, not comparable with the paper.} " if result.demo else ""
    caption = f"{demo}{escape(section.title)}. {what}. {escape(result.caption)}"
    label = f"{section.name}-gains" if gains else section.name
    return latex_table(table, caption, label, wide=True)
