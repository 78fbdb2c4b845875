"""Tables 1 and 2: base systems, their refinements, and what the paper reports for the same rows."""

from __future__ import annotations

from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.results.schema import Name, Row
from sam2vss_lib.study.results.tables import gains_between, rows_not_run, table_row
from sam2vss_lib.study.settings import BaseSystem
from sam2vss_lib.study.stages import Study

_REFINED = "SAM2-"


def refinement_rows(study: Study, table: int) -> list[Row]:
    """Compute all rows of Table 1 or 2 that the settings name; the paper's others are not run."""
    rows: list[Row] = []
    for system in study.settings.base_systems:
        rows += _system_rows(study, system, table)
    return rows + rows_not_run(table, rows, f"profile {study.settings.profile} has no {{row}}")


def _system_rows(study: Study, system: BaseSystem, table: int) -> list[Row]:
    """The base row and one refined row per vote."""
    reason, backbone = study.why_not(system), system.backbone
    status = f"not run: {reason}" if reason else study.status
    base_name = system.method, backbone
    base = None if reason else study.evaluated(study.base(system))
    printed_as = _printed_as(table, base_name)
    rows = [table_row(table, *base_name, status, evaluated=base, printed_as=printed_as)]
    for vote in study.settings.votes:
        name = f"{_REFINED}{system.method}{VOTES[vote].suffix}", backbone
        refined = None if reason else study.evaluated(study.refined(system, vote))
        gains = gains_between(study.settings, base, refined)
        printed_as = _printed_as(table, name)
        rows.append(table_row(table, *name, status, base_name, refined, gains, printed_as))
    return rows


def _printed_as(table: int, name: Name) -> Name | None:
    """Refined rows of Table 2 are printed without a backbone."""
    printed, short = paper_rows(table), (name[0], "")
    return short if name not in printed and short in printed else None
