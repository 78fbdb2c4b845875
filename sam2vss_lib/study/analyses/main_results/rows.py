"""Tables 1 and 2: base systems and their refinements beside the paper's, and temporal models."""

from collections.abc import Sequence
from typing import NamedTuple

from sam2vss_lib.metrics import Gain
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.results.schema import Claim, Name, Row
from sam2vss_lib.study.results.tables import gains_between, rows_not_run, table_row
from sam2vss_lib.study.results.wording import judge
from sam2vss_lib.study.settings import BaseSystem, StudySettings
from sam2vss_lib.study.stages import Study


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
        name = f"SAM2-{system.method}{VOTES[vote].suffix}", backbone
        refined = None if reason else study.evaluated(study.refined(system, vote))
        gains = gains_between(study.settings, base, refined)
        printed_as = _printed_as(table, name)
        rows.append(table_row(table, *name, status, base_name, refined, gains, printed_as))
    return rows


def _printed_as(table: int, name: Name) -> Name | None:
    """Refined rows of Table 2 are printed without a backbone."""
    printed, short = paper_rows(table), (name[0], "")
    return short if name not in printed and short in printed else None


_SINGLE_FRAME = "SegFormer"
_CONSISTENCY, _ACCURACY = "mVC8", "FWIoU"


class TemporalGain(NamedTuple):
    """A temporal base model beside the SegFormer of the same encoder."""

    row: Row  # of the temporal model
    other: Row  # of the SegFormer
    gains: dict[str, Gain]  # of the temporal model over it, by metric

    @property
    def claim(self) -> Claim:
        """What papers on temporal models say, on our numbers."""
        statement = f"{self.row.label} has a higher {_CONSISTENCY} than {self.other.label}"
        return judge(statement, self.gains[_CONSISTENCY], "raises")


def temporal_gains(rows: Sequence[Row], settings: StudySettings) -> list[TemporalGain]:
    """Compare every base row that was run with the SegFormer row of the same backbone, if any."""
    bases = [row for row in rows if row.reference is None and row.evaluated is not None]
    single = {row.backbone: row for row in bases if row.method == _SINGLE_FRAME}
    return [
        TemporalGain(row, other, gains_between(settings, other.evaluated, row.evaluated))
        for row in bases
        if (other := single.get(row.backbone)) is not None and row is not other
    ]


def temporal_reading(found: Sequence[TemporalGain]) -> str:
    """Which temporal models are more consistent, and what goes with it where one is not.

    A model that labels single frames less well also changes its mind more often; accuracy on
    frames is therefore told beside consistency.
    """
    if not found:
        return ""
    higher = [gain for gain in found if gain.claim.verdict == "holds"]
    sentences = [
        f"{len(higher)} of {len(found)} temporal base models have a higher {_CONSISTENCY} than the "
        f"{_SINGLE_FRAME} with the same encoder."
    ]
    for one in found:
        accuracy, consistency = one.gains[_ACCURACY], one.gains[_CONSISTENCY]
        if one in higher or accuracy.gain is None or consistency.gain is None:
            continue
        compared = "less well, and so flips more" if accuracy.gain < 0 else "no worse"
        sentences.append(
            f"{one.row.label} ({consistency.gain:+.1f}, {one.claim.verdict}) labels single frames "
            f"{compared} (FWIoU {accuracy.gain:+.1f})."
        )
    return " ".join(sentences)
