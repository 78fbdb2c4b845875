"""Section 4.2: what the text says of SAM2 on its own, against Table 3."""

from __future__ import annotations

from sam2vss_lib.study.analyses.paper_checks.printed import Change, changes, in_points
from sam2vss_lib.study.paper import PAPER_METRICS, paper_rows, paper_value
from sam2vss_lib.study.results.schema import Claim
from sam2vss_lib.study.results.text import range_text

_BACKBONES = ("MiT-B0", "MiT-B1", "MiT-B2")


def segmentor_checks() -> list[Claim]:
    """Checks of what is said about independent segmentors."""
    return [_drop_of_ten_percent(), _consistency_falls(), _sam2_is_worst(), _fill_helps()]


def _drops(method: str, metrics: tuple[str, ...]) -> list[Change]:
    """Changes from CFFM to an independent variant, by backbone."""
    return [c for b in _BACKBONES for c in changes(3, ("CFFM", b), (method, b), metrics)]


def _drop_of_ten_percent() -> Claim:
    plain, filled = _drops("I-CFFM", ("mIoU",)), _drops("I-CFFM_base", ("mIoU",))
    relative = [c.percent for c in plain]
    readings = [
        all(value <= -10 for value in values)
        for values in (
            relative,
            [c.points for c in plain],
            [c.percent for c in filled],
            [c.points for c in filled],
        )
    ]
    return Claim(
        statement="Independent classification costs the trained models at least 10 % mIoU.",
        where="Table 3; section 4.2, “a drop of at least 10% in the quantitative accuracy”",
        evidence=f"I-CFFM: {in_points(plain)} points, {range_text(relative)} % of CFFM's; "
        f"with base fill {in_points(filled)} points, "
        f"{range_text(c.percent for c in filled)} %",
        verdict="consistent"
        if all(readings)
        else "cannot tell"
        if any(readings)
        else "inconsistent",
        why="True as a relative drop without base fill; not in percentage points, and with "
        "base fill for MiT-B1 only. The text does not say which is meant.",
    )


def _consistency_falls() -> Claim:
    found = _drops("I-CFFM", ("mVC8", "mVC16"))
    accuracy = _drops("I-CFFM", ("mIoU",))
    return Claim(
        statement="Consistency falls drastically.",
        where="Table 3; section 4.2, “a drastic decline in visual consistency”",
        evidence=f"I-CFFM minus CFFM: mVC {in_points(found)} points, mIoU {in_points(accuracy)}",
        verdict="consistent"
        if max(c.points for c in found) < min(c.points for c in accuracy)
        else "inconsistent",
        why="So large a fall is what labels chosen anew on every frame would give; the paper does "
        "not say whether a masklet is classified once or on every frame.",
    )


def _sam2_is_worst() -> Claim:
    sam2 = [row for row in paper_rows(3) if row[0].startswith("I-SAM2")]
    others = [row for row in paper_rows(3) if row not in sam2]

    def values(rows: list[tuple[str, str]], metric: str) -> list[float]:
        return [v for row in rows if (v := paper_value(3, *row, metric)) is not None]

    text = "; ".join(
        f"{m} {max(values(sam2, m))} below {min(values(others, m))}" for m in PAPER_METRICS
    )
    worst = all(max(values(sam2, m)) < min(values(others, m)) for m in PAPER_METRICS)
    return Claim(
        statement="I-SAM2 is the worst, even with base fill.",
        where="Table 3; section 4.2, “which has the worst performance”",
        evidence=f"best of I-SAM2 rows against worst of all others: {text}",
        verdict="consistent" if worst else "inconsistent",
        why="The margin is wide in every metric: a direction that survives many open choices.",
    )


def _fill_helps() -> Claim:
    pairs = [(("I-CFFM", b), ("I-CFFM_base", b)) for b in _BACKBONES]
    pairs.append((("I-SAM2", ""), ("I-SAM2_base", "")))
    found = [c for pair in pairs for c in changes(3, *pair, PAPER_METRICS)]
    filler = paper_value(3, "CFFM", "MiT-B1", "mIoU")
    return Claim(
        statement="Filling uncovered pixels from a base model helps.",
        where="Table 3; sections 3.1.2 and 4.2",
        evidence=f"{sum(c.points > 0 for c in found)} of {len(found)} cells rise, "
        f"{in_points(found)} points; I-SAM2_base has mIoU "
        f"{paper_value(3, 'I-SAM2_base', '', 'mIoU')}, the CFFM MiT-B1 that fills it {filler}",
        verdict="consistent" if all(c.points > 0 for c in found) else "inconsistent",
        why="The fill never reaches the model that does the filling; how uncovered pixels are "
        "scored without it is not stated, and decides how much it can help.",
    )
