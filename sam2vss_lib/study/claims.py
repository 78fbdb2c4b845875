"""The directions the paper reports, put to the test on our own numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sam2vss_lib.metrics import PairedGain
from sam2vss_lib.study.tables import Row

Verdict = Literal["holds", "does not hold", "undecided"]
#: metric -> whether the paper says that refinement raises it, or only that it keeps it
_REFINEMENT: dict[str, Literal["raises", "does not lower"]] = {
    "mIoU": "does not lower",
    "mBIoU": "raises",
    "mVC8": "raises",
    "mVC16": "raises",
}


class Claim(BaseModel):
    """One statement with its evidence.

    Attributes:
        statement: in words.
        gain: percentage points, None where it cannot be computed.
        low: lower end of the 95 % interval over clips.
        high: upper end.
        verdict: `holds` and `does not hold` need an interval on one side of zero; for "does not
            lower" a gain that is not below zero is enough.
    """

    model_config = ConfigDict(frozen=True)

    statement: str
    gain: float | None
    low: float | None
    high: float | None
    verdict: Verdict


def refinement_claims(rows: list[Row]) -> list[Claim]:
    """Judge every refined row that was run against what the paper says of refinement.

    Args:
        rows: of `refinement_rows`.
    """
    claims: list[Claim] = []
    for row in rows:
        for metric, direction in _REFINEMENT.items():
            gain = row.gains.get(metric)
            if gain is None:
                continue
            statement = f"{row.method} {row.backbone} {direction} {metric}"
            claims.append(
                Claim(
                    statement=statement,
                    gain=gain.gain,
                    low=gain.low,
                    high=gain.high,
                    verdict=_verdict(gain, direction),
                )
            )
    return claims


def _verdict(gain: PairedGain, direction: str) -> Verdict:
    if gain.gain is None or gain.low is None or gain.high is None:
        return "undecided"
    if gain.high < 0:
        return "does not hold"
    if direction == "raises":
        return "holds" if gain.low > 0 else "undecided"
    return "holds" if gain.gain >= 0 else "undecided"
