"""Table 1: base systems, their refinements, and what the paper reports for the same rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from sam2vss_lib.datasets.class_names import read_class_names
from sam2vss_lib.datasets.manifests import load_datasets_manifest, manifest_path
from sam2vss_lib.metrics import PairedGain, paired_gain
from sam2vss_lib.study.paper import PAPER_METRICS, paper_rows, paper_value
from sam2vss_lib.study.settings import BaseSystem
from sam2vss_lib.study.stages import Evaluated, Study

if TYPE_CHECKING:
    from sam2vss_lib.study.claims import Claim

TABLE = 1
VOTE_NAMES = {"frame": "", "masklet": " (window vote)"}


@dataclass(frozen=True)
class Row:
    """One row of Table 1.

    Attributes:
        method: such as CFFM, SAM2-CFFM, SAM2-CFFM (window vote).
        backbone: such as MiT-B1.
        status: what was run, or why nothing was.
        base_method: for refined rows, the row they refine.
        evaluated: our numbers, None where the row was not run.
        gains: for refined rows, gain over the base row by metric.
    """

    method: str
    backbone: str
    status: str
    base_method: str | None = None
    evaluated: Evaluated | None = None
    gains: dict[str, PairedGain] = field(default_factory=dict)

    @property
    def ours(self) -> dict[str, float | None]:
        """Our value of every metric, None where not run or not defined."""
        if self.evaluated is None:
            return dict.fromkeys(PAPER_METRICS)
        return {metric: self.evaluated.metrics["metrics"][metric] for metric in PAPER_METRICS}

    def paper(self, metric: str) -> float | None:
        """The paper's value of a metric, None where it prints none."""
        return paper_value(TABLE, self.method, self.backbone, metric)

    def paper_gain(self, metric: str) -> float | None:
        """The paper's refined minus its base value."""
        if self.base_method is None:
            return None
        refined = self.paper(metric)
        base = paper_value(TABLE, self.base_method, self.backbone, metric)
        return None if refined is None or base is None else round(refined - base, 2)


def main_results(study: Study) -> list[Row]:
    """Compute every row of the settings' base systems and add the paper's other rows as not run."""
    rows: list[Row] = []
    for system in study.settings.base_systems:
        rows += _system_rows(study, system)
    ours = {(row.method, row.backbone) for row in rows}
    for method, backbone in paper_rows(TABLE):
        if (method, backbone) not in ours:
            base = method.removeprefix("SAM2-") if method.startswith("SAM2-") else None
            reason = f"not run: profile {study.settings.profile} has no {method} {backbone}"
            rows.append(Row(method, backbone, reason, base))
    return rows


def _system_rows(study: Study, system: BaseSystem) -> list[Row]:
    """The base row and one refined row per vote."""
    votes = study.settings.votes
    names = [f"SAM2-{system.method}{VOTE_NAMES[vote]}" for vote in votes]
    if reason := study.why_not(system):
        status = f"not run: {reason}"
        return [
            Row(system.method, system.backbone, status),
            *(Row(name, system.backbone, status, system.method) for name in names),
        ]
    status = f"run on {len(study.dataset)} clips of {study.settings.dataset} {study.dataset.split}"
    base = study.evaluated(study.base(system))
    rows = [Row(system.method, system.backbone, status, evaluated=base)]
    for vote, name in zip(votes, names, strict=True):
        refined = study.evaluated(study.refined(system, vote))
        gains = paired_gain(
            base.suite,
            refined.suite,
            samples=study.settings.bootstrap_samples,
            seed=study.settings.seed,
        )
        rows.append(Row(name, system.backbone, status, system.method, refined, gains))
    return rows


def pairs(rows: list[Row]) -> list[tuple[Row, Row]]:
    """Base row and refined row of every refinement that was run."""
    bases = {(row.method, row.backbone): row for row in rows if row.base_method is None}
    return [
        (bases[row.base_method, row.backbone], row)
        for row in rows
        if row.base_method is not None and row.evaluated is not None
    ]


def comparable_with_paper(study: Study) -> bool:
    """Whether the numbers may be read beside the paper's: all clips and classes of VSPW val."""
    facts = load_datasets_manifest()["vspw"]
    names = read_class_names(manifest_path(facts.class_names))
    return (
        study.dataset.class_names == names
        and study.dataset.split == "val"
        and len(study.dataset) == facts.splits["val"].clips
    )


def caption(study: Study) -> str:
    """Caption of the table: what was measured on what, and whether the paper's numbers compare."""
    settings, dataset = study.settings, study.dataset
    data = "the generated demo clips" if settings.dataset == "demo" else dataset.root.name
    text = (
        f"SAM2 ({study.sam2.name}) as a refiner on {data}, {dataset.split}, {len(dataset)} clips; "
        "percent."
    )
    if not comparable_with_paper(study):
        text += " This is not the whole of VSPW val: not comparable with the paper's numbers."
    return text


def result_values(study: Study, rows: list[Row], claims: list[Claim]) -> dict[str, Any]:
    """The notebook's values for `result.json`."""
    return {
        "table": TABLE,
        "caption": caption(study),
        "comparable_with_paper": comparable_with_paper(study),
        "rows": [
            {
                "method": row.method,
                "backbone": row.backbone,
                "status": row.status,
                "ours": row.ours,
                "paper": {metric: row.paper(metric) for metric in PAPER_METRICS},
                "gains": {metric: asdict(gain) for metric, gain in row.gains.items()},
                "variants": row.evaluated.metrics["variants"] if row.evaluated else None,
            }
            for row in rows
        ],
        "claims": [claim.model_dump() for claim in claims],
    }


def reading(rows: list[Row], claims: list[Claim]) -> str:
    """Our reading of the result in a few sentences of Markdown, from the numbers alone."""
    run = [row for row in rows if row.evaluated is not None]
    if not claims:
        return f"{len(run)} rows were run, none of them a refinement: nothing to judge."
    counts = Counter(claim.verdict for claim in claims)
    sentences = [
        f"Of {len(claims)} statements about {len(pairs(rows))} refinements, "
        f"{counts['holds']} hold, {counts['does not hold']} do not hold and "
        f"{counts['undecided']} are undecided."
    ]
    failed = [claim.statement for claim in claims if claim.verdict == "does not hold"]
    if failed:
        sentences.append(f"Against the paper's direction: {'; '.join(failed)}.")
    largest = max(
        (claim for claim in claims if claim.gain is not None),
        key=lambda claim: claim.gain or 0.0,
        default=None,
    )
    if largest is not None:
        sentences.append(f"The largest gain is {largest.gain:+.1f} points: {largest.statement}.")
    printed = {*paper_rows(TABLE)}
    missing = sum(row.evaluated is None and (row.method, row.backbone) in printed for row in rows)
    sentences.append(f"{missing} rows of the paper's table were not run; the table says why.")
    return " ".join(sentences)


def table_frame(rows: list[Row]) -> pd.DataFrame:
    """Table 1 with everything, for `table.csv`: one line per row, ours, gain and paper per metric.

    Args:
        rows: of `main_results`.

    Returns:
        Columns method, backbone, then for each metric `<m>`, `<m>_paper`, `<m>_gain`,
        `<m>_gain_low`, `<m>_gain_high`, `<m>_gain_paper`, then status; percent, 4 decimals.
    """
    lines: list[dict[str, object]] = []
    for row in rows:
        line: dict[str, object] = {"method": row.method, "backbone": row.backbone}
        for metric, value in row.ours.items():
            gain = row.gains.get(metric)
            line[metric] = value
            line[f"{metric}_paper"] = row.paper(metric)
            line[f"{metric}_gain"] = gain and gain.gain
            line[f"{metric}_gain_low"] = gain and gain.low
            line[f"{metric}_gain_high"] = gain and gain.high
            line[f"{metric}_gain_paper"] = row.paper_gain(metric)
        lines.append({**line, "status": row.status})
    frame = pd.DataFrame(lines)
    numbers = [c for c in frame.columns if c not in ("method", "backbone", "status")]
    return frame.astype(dict.fromkeys(numbers, "float64")).round(4)


def values_table(rows: list[Row]) -> pd.DataFrame:
    """Table 1 to read: per metric our value and the paper's in separate columns."""
    lines = [
        {
            ("", "Method"): row.method,
            ("", "Backbone"): row.backbone,
            **{
                key: text
                for metric, value in row.ours.items()
                for key, text in (
                    ((metric, "ours"), _text(value, 2)),
                    ((metric, "paper"), _text(row.paper(metric), 1)),
                )
            },
            ("", "Status"): row.status,
        }
        for row in rows
    ]
    return pd.DataFrame(lines)


def gains_table(rows: list[Row]) -> pd.DataFrame:
    """SAM2-X minus X in percentage points, with 95 % intervals, beside the paper's gain."""
    lines = [
        {
            ("", "Method"): row.method,
            ("", "Backbone"): row.backbone,
            **{
                key: text
                for metric in PAPER_METRICS
                for key, text in (
                    ((metric, "ours"), _gain_text(row.gains.get(metric))),
                    ((metric, "paper"), _text(row.paper_gain(metric), 1, sign=True)),
                )
            },
        }
        for row in rows
        if row.base_method is not None
    ]
    return pd.DataFrame(lines)


def _text(value: float | None, digits: int, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _gain_text(gain: PairedGain | None) -> str:
    if gain is None or gain.gain is None:
        return "–"
    text = f"{gain.gain:+.2f}"
    return text if gain.low is None else f"{text} [{gain.low:+.2f}, {gain.high:+.2f}]"
