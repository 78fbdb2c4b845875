"""A table of the study: rows of our numbers, each beside what the paper prints for it."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from sam2vss_lib.metrics import Gain, paired_gain
from sam2vss_lib.metrics.protocol import MetricSettings
from sam2vss_lib.study.paper import PAPER_METRICS, paper_rows, paper_value
from sam2vss_lib.study.results.schema import Claim, Name, Row, TextTable
from sam2vss_lib.study.results.text import interval_text, number_text
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.study.stages.study import Evaluated


def table_metrics() -> tuple[str, ...]:
    """Metrics in the order of tables: all of the registry, so that an added one has its column."""
    return MetricSettings(num_classes=1).metric_names


def table_row(
    table: int,
    method: str,
    backbone: str,
    status: str,
    reference: Name | None = None,
    evaluated: Evaluated | None = None,
    gains: dict[str, Gain] | None = None,
    printed_as: Name | None = None,
) -> Row:
    """A row of one of the paper's tables: our numbers beside those that the paper prints for it.

    The status is followed by why a metric has no value.
    """
    paper = _printed(table, printed_as or (method, backbone))
    before = _printed(table, reference)
    differences = {
        metric: None if value is None or start is None else round(value - start, 2)
        for (metric, value), start in zip(paper.items(), before.values(), strict=True)
    }
    notes = evaluated.metrics["notes"] if evaluated else {}
    reasons = [f"no {metric}: {notes[metric]}" for metric in paper if metric in notes]
    return Row(
        method=method,
        backbone=backbone,
        status="; ".join((status, *reasons)),
        ours=evaluated.metrics["metrics"] if evaluated else dict.fromkeys(paper),
        paper=paper,
        gains=gains or {},
        paper_gains=differences,
        variants=evaluated.metrics["variants"] if evaluated else None,
        reference=reference,
        evaluated=evaluated,
        printed_as=printed_as,
    )


def _printed(table: int, name: Name | None) -> dict[str, float | None]:
    """What the paper prints for a row, None for metrics that it does not know."""
    return {
        metric: paper_value(table, *name, metric) if name and metric in PAPER_METRICS else None
        for metric in table_metrics()
    }


def gains_between(
    settings: StudySettings, before: Evaluated | None, after: Evaluated | None
) -> dict[str, Gain]:
    """Paired gain of every metric by the study's bootstrap; none where a side was not run."""
    if before is None or after is None:
        return {}
    return paired_gain(
        before.suite, after.suite, samples=settings.bootstrap_samples, seed=settings.seed
    )


def rows_not_run(table: int, rows: Sequence[Row], reason: str) -> list[Row]:
    """The paper's rows that `rows` lack; `{row}` in the reason becomes the row's name."""
    have = {row.printed_name for row in rows}
    return [
        table_row(table, *name, f"not run: {reason.format(row=' '.join(name).strip())}")
        for name in paper_rows(table)
        if name not in have
    ]


def pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Reference and row of every gain that was measured."""
    by_name = {row.name: row for row in rows}
    return [
        (by_name[row.reference], row)
        for row in rows
        if row.reference is not None and row.gains and row.evaluated is not None
    ]


def table_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """A table with everything, for `table.csv`: ours, gain and paper per metric.

    Returns:
        Columns method, backbone, then for each metric `<m>`, `<m>_paper`, `<m>_gain`,
        `<m>_gain_low`, `<m>_gain_high`, `<m>_gain_paper`, then status; percent, 4 decimals.
    """
    lines: list[dict[str, object]] = []
    for row in rows:
        line: dict[str, object] = {"method": row.method, "backbone": row.backbone}
        for metric, value in row.ours.items():
            gain = row.gains.get(metric, Gain())
            line[metric] = value
            line[f"{metric}_paper"] = row.paper[metric]
            line[f"{metric}_gain"] = gain.gain
            line[f"{metric}_gain_low"] = gain.low
            line[f"{metric}_gain_high"] = gain.high
            line[f"{metric}_gain_paper"] = row.paper_gains[metric]
        lines.append({**line, "status": row.status})
    frame = pd.DataFrame(lines)
    numbers = [c for c in frame.columns if c not in ("method", "backbone", "status")]
    return frame.astype(dict.fromkeys(numbers, "float64")).round(4)


def grouped_table(lines: Sequence[dict[tuple[str, str], str]]) -> pd.DataFrame:
    """Lines of text by the group and the name of a column, as a table with both as its head."""
    table = pd.DataFrame(lines)
    return table.set_axis(pd.MultiIndex.from_tuples(table.columns), axis=1) if lines else table


def paired_table(
    rows: Sequence[Row],
    method: str,
    groups: Mapping[str, str],
    cells: Callable[[Row, str], tuple[str, str]],
    ours: str = "ours",
) -> pd.DataFrame:
    """A table to read: per metric our number and the paper's in separate columns.

    Behind the leading columns, `method` and the backbone where a row has one, every metric has two
    under its heading in `groups`, filled with the texts that `cells` gives of a row and a metric.
    """
    headings = (method, "Backbone") if any(row.backbone for row in rows) else (method,)
    return grouped_table(
        [
            {("", heading): name for heading, name in zip(headings, row.name, strict=False)}
            | {
                (group, of): text
                for metric, group in groups.items()
                for of, text in zip((ours, "paper"), cells(row, metric), strict=True)
            }
            for row in rows
        ]
    )


def values_table(rows: Sequence[Row], heading: str = "Method") -> pd.DataFrame:
    """Our values and the paper's in percent, and what every row was run on."""
    table = paired_table(
        rows,
        heading,
        {metric: metric for metric in table_metrics()},
        lambda row, metric: (number_text(row.ours[metric]), number_text(row.paper[metric], 1)),
    )
    table["", "Status"] = [row.status for row in rows]
    return table


def gains_table(rows: Sequence[Row], heading: str = "Method") -> pd.DataFrame:
    """Gains over reference rows in percentage points, with 95 % intervals, beside the paper's."""

    def cells(row: Row, metric: str) -> tuple[str, str]:
        paper = number_text(row.paper_gains[metric], 1, sign=True)
        return interval_text(row.gains.get(metric)), paper

    compared = [row for row in rows if row.reference is not None]
    return paired_table(compared, heading, {m: m for m in table_metrics()}, cells)


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """Statements with gains, intervals and verdicts, to read."""
    return pd.DataFrame([claim.model_dump(exclude_unset=True) for claim in claims]).round(2)


def text_table(title: str, table: pd.DataFrame) -> TextTable:
    """A table of text for `result.json`."""
    rows: list[list[object]] = table.to_numpy().tolist()
    cells = [[str(cell) for cell in row] for row in rows]
    return TextTable(title=title, columns=[str(c) for c in table.columns], rows=cells)
