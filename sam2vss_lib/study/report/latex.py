r"""The study's tables in LaTeX, made from its result files."""

from __future__ import annotations

from sam2vss_lib.study.report.sections import Section, printed_text
from sam2vss_lib.study.results.latex import escape, latex_table
from sam2vss_lib.study.results.schema import Metric, Row
from sam2vss_lib.study.results.tables import grouped_table
from sam2vss_lib.study.results.text import DASH, gain_text, interval_text, number_text


def latex_tables(sections: list[Section]) -> str:
    """Values and gains of every notebook that has rows, as floating tables.

    Args:
        sections: of `read_sections`.
    """
    parts = [
        "% Made from result.json of every notebook. In the preamble: \\usepackage{booktabs}\n"
        "% Include with \\input{tables.tex}; labels are tab:<notebook> and tab:<notebook>-gains.\n"
    ]
    for section in sections:
        if section.state != "run":
            parts.append(f"% {section.name}: {section.state}: {' '.join(section.reason.split())}\n")
            continue
        result = section.result
        if result.rows and result.columns:
            parts.append(_table(section, result.rows, gains=False))
            if with_gains := [row for row in result.rows if row.gains]:
                parts.append(_table(section, with_gains, gains=True))
    return "\n".join(parts)


def _table(section: Section, rows: list[Row], *, gains: bool) -> str:
    """A column pair, ours and the paper's, for every metric."""
    result = section.result
    headings = result.headings[: 2 if any(row.backbone for row in rows) else 1]
    ours = "ours (demo)" if result.demo else "ours"
    lines = [
        {("", heading): name for heading, name in zip(headings, row.name, strict=False)}
        | {
            (_group(metric, gains=gains), of): text
            for metric in result.columns
            for of, text in zip((ours, "paper"), _pair(row, metric, gains=gains), strict=True)
        }
        for row in rows
    ]
    what = "Gains in points with 95\\,\\% intervals" if gains else "Values"
    demo = r"\textbf{Demo data, not comparable with the paper.} " if result.demo else ""
    caption = f"{demo}{escape(section.title)}. {what}. {escape(result.caption)}"
    label = f"{section.name}-gains" if gains else section.name
    return latex_table(grouped_table(lines), caption, label, wide=True)


def _group(metric: Metric, *, gains: bool) -> str:
    name = metric.label or metric.name
    return name if gains or not metric.unit else f"{name} ({metric.unit})"


def _pair(row: Row, metric: Metric, *, gains: bool) -> tuple[str, str]:
    """Our number and the paper's, or our gain and the paper's."""
    name, digits = metric.name, metric.digits
    if gains:
        ours = interval_text(row.gains.get(name), digits).replace("-", "−")
        return ours, gain_text(row.paper_gains.get(name), 1)
    return number_text(row.ours.get(name), digits), printed_text(row.paper.get(name)) or DASH
