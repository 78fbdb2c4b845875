"""Are temporal base models more consistent than the SegFormer of the same encoder? Why not?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.results.claims import judge
from sam2vss_lib.study.results.schema import Claim, Row
from sam2vss_lib.study.results.tables import gains_between
from sam2vss_lib.study.settings import StudySettings

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
    found = list[TemporalGain]()
    for row in bases:
        other = single.get(row.backbone)
        if other is not None and row is not other:
            gains = gains_between(settings, other.evaluated, row.evaluated)
            found.append(TemporalGain(row, other, gains))
    return found


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
