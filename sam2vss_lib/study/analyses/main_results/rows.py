"""Tables 1 and 2: base systems, their refinements, and what the paper reports for the same rows."""

from __future__ import annotations

from dataclasses import replace

from sam2vss_lib.metrics import paired_gain
from sam2vss_lib.refinement.votes import VOTES
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.results.tables import Row, rows_not_run
from sam2vss_lib.study.settings import BaseSystem
from sam2vss_lib.study.stages import Study

_REFINED = "SAM2-"


def refinement_rows(study: Study, table: int) -> list[Row]:
    """Compute every row of the settings' base systems and add the paper's other rows as not run.

    Args:
        study: the study.
        table: number of the paper's table, 1 or 2.
    """
    rows: list[Row] = []
    for system in study.settings.base_systems:
        rows += _system_rows(study, system, table)
    profile = study.settings.profile
    return rows + rows_not_run(table, rows, f"profile {profile} has no {{row}}")


def _system_rows(study: Study, system: BaseSystem, table: int) -> list[Row]:
    """The base row and one refined row per vote."""
    method, backbone, votes = system.method, system.backbone, study.settings.votes
    names = [f"{_REFINED}{method}{VOTES[vote].suffix}" for vote in votes]
    if reason := study.why_not(system):
        status = f"not run: {reason}"
        rows = [
            Row(table, method, backbone, status),
            *(Row(table, name, backbone, status, (method, backbone)) for name in names),
        ]
        return [_as_printed(row) for row in rows]
    status = study.status
    base = study.evaluated(study.base(system))
    rows = [Row(table, method, backbone, status, evaluated=base)]
    for vote, name in zip(votes, names, strict=True):
        refined = study.evaluated(study.refined(system, vote))
        gains = paired_gain(
            base.suite,
            refined.suite,
            samples=study.settings.bootstrap_samples,
            seed=study.settings.seed,
        )
        rows.append(Row(table, name, backbone, status, (method, backbone), refined, gains))
    return [_as_printed(row) for row in rows]


def _as_printed(row: Row) -> Row:
    """Refined rows of Table 2 are printed without a backbone."""
    printed, short = paper_rows(row.table), (row.method, "")
    if row.name in printed or short not in printed:
        return row
    return replace(row, printed_as=short)
