r"""The study's tables in LaTeX, made from its result files."""

from __future__ import annotations

from sam2vss_lib.study.report.sections import Section, printed_text
from sam2vss_lib.study.results.latex import escape, latex_table
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.tables import headings, paired_table
from sam2vss_lib.study.results.text import DASH, gain_text, interval_text, number_text


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
    table = paired_table(rows, headings(rows, "Method"), groups, cells, ours)
    what = "Gains in points with 95\\,\\% intervals" if gains else "Values"
    demo = r"\textbf{Demo data, not comparable with the paper.} " if result.demo else ""
    caption = f"{demo}{escape(section.title)}. {what}. {escape(result.caption)}"
    label = f"{section.name}-gains" if gains else section.name
    return latex_table(table, caption, label, wide=True)
