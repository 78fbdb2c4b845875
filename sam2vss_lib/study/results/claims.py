"""The directions the paper reports, put to the test on our own numbers."""

from __future__ import annotations

from typing import Literal

from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.results.schema import Claim, Row, Verdict

Direction = Literal["raises", "lowers", "does not lower", "hardly changes"]
SMALL_POINTS = 0.5  # "hardly changes": the paper calls differences up to this negligible (Tab. 5)
#: metric -> whether the paper says that refinement raises it, or only that it keeps it
_REFINEMENT: dict[str, Direction] = {
    "mIoU": "does not lower",
    "mBIoU": "raises",
    "mVC8": "raises",
    "mVC16": "raises",
}


def refinement_claims(rows: list[Row]) -> list[Claim]:
    """Judge every refined row that was run against what the paper says of refinement."""
    return [
        judge(f"{row.label} {direction} {metric}", row.gains[metric], direction)
        for row in rows
        for metric, direction in _REFINEMENT.items()
        if metric in row.gains
    ]


def judge(statement: str, gain: Gain, direction: Direction) -> Claim:
    """Hold a statement about the direction of a gain against its interval.

    `holds` and `does not hold` need an interval on one side of zero; for "does not lower" a gain
    that is not below zero is enough, and "hardly changes" needs an interval within `SMALL_POINTS`
    of zero, or one wholly outside to fail.
    """
    verdict = _verdict(gain, direction)
    return Claim(statement=statement, gain=gain.gain, low=gain.low, high=gain.high, verdict=verdict)


def _verdict(gain: Gain, direction: Direction) -> Verdict:
    if gain.gain is None or gain.low is None or gain.high is None:
        return "undecided"
    low, high = gain.low, gain.high
    if direction == "hardly changes":
        if low >= -SMALL_POINTS and high <= SMALL_POINTS:
            return "holds"
        return "does not hold" if low > SMALL_POINTS or high < -SMALL_POINTS else "undecided"
    if direction == "lowers":
        low, high = -high, -low
    if high < 0:
        return "does not hold"
    if direction == "does not lower":
        return "holds" if gain.gain >= 0 else "undecided"
    return "holds" if low > 0 else "undecided"
