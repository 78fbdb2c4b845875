r"""The study's tables in LaTeX, to be put into a paper by \input; they need booktabs alone."""

from __future__ import annotations

from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.report.sections import Section, printed_text
from sam2vss_lib.study.results.schema import Metric, Result, Row

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "→": r"$\to$", "≥": r"$\geq$",
    "≤": r"$\leq$", "“": "``", "”": "''", "…": r"\dots{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}  # fmt: skip
_DASH = "--"


def escape(text: str) -> str:
    r"""Text with everything replaced that LaTeX would read as a command.

    Example:
        >>> escape("50% of I-SAM2_base")
        '50\\% of I-SAM2\\_base'
    """
    return "".join(_ESCAPES.get(character, character) for character in text)


def latex_tables(sections: list[Section]) -> str:
    """Values and gains of every notebook that has rows, as floating tables.

    Args:
        sections: of `read_sections`.
    """
    parts = [
        "% Made from result.json of every notebook. In the preamble: \\usepackage{booktabs}\n"
        "% Include with \\input{tables.tex}; labels are tab:<notebook> and tab:<notebook>-gains."
    ]
    for section in sections:
        if section.state != "run":
            parts.append(f"% {section.name}: {section.state}: {_comment(section.reason)}")
            continue
        result = section.result
        if result.rows and result.columns:
            parts.append(_table(section, result.rows, gains=False))
            if with_gains := [row for row in result.rows if row.gains]:
                parts.append(_table(section, with_gains, gains=True))
    return "\n\n".join(parts) + "\n"


def _comment(text: str) -> str:
    return " ".join(text.split())


def _table(section: Section, rows: list[Row], *, gains: bool) -> str:
    """One table* with a column pair, ours and the paper's, for every metric."""
    result = section.result
    metrics = result.columns
    names = 2 if any(row.backbone for row in rows) else 1
    what = "Gains in points with 95\\,\\% intervals" if gains else "Values"
    demo = r"\textbf{Demo data, not comparable with the paper.} " if result.demo else ""
    ours = "ours (demo)" if result.demo else "ours"
    tops = [
        f"\\multicolumn{{2}}{{c}}{{{escape(m.label or m.name)}{_unit(m, gains=gains)}}}"
        for m in metrics
    ]
    first = names + 1
    rules = [f"\\cmidrule(lr){{{first + 2 * i}-{first + 2 * i + 1}}}" for i in range(len(metrics))]
    heads = [escape(heading) for heading in result.headings[:names]]
    lines = [
        r"\begin{table*}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        f"\\caption{{{demo}{escape(section.title)}. {what}. {escape(result.caption)}}}",
        f"\\label{{tab:{section.name}{'-gains' if gains else ''}}}",
        f"\\begin{{tabular}}{{@{{}}{'l' * names}{'rr' * len(metrics)}@{{}}}}",
        r"\toprule",
        " & ".join([*[""] * names, *tops]) + r" \\",
        "".join(rules),
        " & ".join([*heads, *[ours, "paper"] * len(metrics)]) + r" \\",
        r"\midrule",
        *(" & ".join(_cells(result, row, names, gains=gains)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines)


def _unit(metric: Metric, *, gains: bool) -> str:
    return "" if gains or not metric.unit else f" ({escape(metric.unit)})"


def _cells(result: Result, row: Row, names: int, *, gains: bool) -> list[str]:
    cells = [escape(row.method), escape(row.backbone)][:names]
    for metric in result.columns:
        if gains:
            gain = row.gains.get(metric.name, Gain())
            text = _signed(gain.gain, metric.digits)
            if gain.low is not None and gain.high is not None:
                ends = (_signed(end, metric.digits) for end in (gain.low, gain.high))
                text += " {\\scriptsize[" + ", ".join(ends) + "]}"
            cells += [text, _signed(row.paper_gains.get(metric.name), 1)]
        else:
            cells += [
                _plain(row.ours.get(metric.name), metric.digits),
                printed_text(row.paper.get(metric.name)) or _DASH,
            ]
    return cells


def _plain(value: float | None, digits: int) -> str:
    return _DASH if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int) -> str:
    return _DASH if value is None else f"${value:+.{digits}f}$"
