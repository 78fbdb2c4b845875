"""What the text says of refined (sections 4.1, 6) and independent systems (4.2): Tables 1-3."""

from sam2vss_lib.study.analyses.paper_checks.printed import (
    Change,
    Finding,
    all_rise,
    changes,
    gains,
    in_points,
    judged,
)
from sam2vss_lib.study.paper import (
    PAPER_METRICS,
    load_paper_tables,
    paper_refinements,
    paper_rows,
    paper_value,
)
from sam2vss_lib.study.results.schema import Claim
from sam2vss_lib.study.results.text import range_text


def refiner_checks() -> list[Claim]:
    """Checks of what is said about SAM2 as a refiner."""
    vspw = _all_metrics, _boundary_gains_most, _consistency_everywhere
    return judged([*vspw, _vipseg_boundary, _vipseg_other_metrics, _overall, _only_vspw])


def _up(found: list[Change]) -> str:
    """How many rise."""
    return f"{sum(c.points > 0 for c in found)} of {len(found)} rise"


def _all_metrics() -> Finding:
    found = gains(1)
    wanted = len(paper_refinements(1)) * len(PAPER_METRICS)
    ranges = "; ".join(f"{m} {in_points(c for c in found if c.metric == m)}" for m in PAPER_METRICS)
    evidence = (
        f"{_up(found)}: {ranges} points; {wanted - len(found)} more cannot be computed, "
        "since TV3S has no printed weighted IoU"
    )
    return evidence, all_rise(found)


def _boundary_gains_most() -> Finding:
    systems = {c.system for c in gains(1)}
    most = [
        max((c for c in gains(1) if c.system == system), key=lambda c: c.points).metric
        for system in systems
    ]
    boundary, others = gains(1, ["mBIoU"]), [c for c in gains(1) if c.metric != "mBIoU"]
    evidence = (
        f"mBIoU {in_points(boundary)}, all others {in_points(others)} points; mBIoU "
        f"gains most for {most.count('mBIoU')} of {len(systems)} systems"
    )
    return evidence, {*most} == {"mBIoU"}


def _consistency_everywhere() -> Finding:
    found = gains(1, ["mVC8", "mVC16"])
    backbones = sorted({c.system.split()[1] for c in found})
    named = f"backbones in the table: {', '.join(backbones)}"
    return f"{_up(found)}, {in_points(found)} points; {named}", all_rise(found)


def _vipseg_boundary() -> Finding:
    found = gains(2, ["mBIoU"])
    on_vspw = in_points(gains(1, ["mBIoU"]))
    return f"{_up(found)}, {in_points(found)} points; on VSPW {on_vspw}", all_rise(found)


def _vipseg_other_metrics() -> Finding:
    found = gains(2, ["mIoU", "mVC8", "mVC16"])
    falling = [f"{c.system} {c.metric} {c.points:+.1f}" for c in found if c.points < 0]
    lowest = min(c.points for c in found)
    return f"{_up(found)}; falling: {', '.join(falling) or 'none'}", lowest >= -0.5


def _overall() -> Finding:
    vipseg = gains(2, ["mIoU"])
    found = [*gains(1, ["mIoU"]), *vipseg]
    mean = sum(c.points for c in vipseg) / len(vipseg)
    evidence = (
        f"mIoU: {_up(found)}; on VIPSeg {in_points(vipseg)}, mean {mean:+.2f}"
        " points; mBIoU and mVC rise everywhere"
    )
    return evidence, "cannot tell"


def _only_vspw() -> Finding:
    tables = load_paper_tables()
    elsewhere = tables["table"].tolist().count(2)
    said = f"{elsewhere} of {len(tables)} numbers, those of Table 2, are about VIPSeg"
    return said, not elsewhere


_BACKBONES = ("MiT-B0", "MiT-B1", "MiT-B2")


def segmentor_checks() -> list[Claim]:
    """Checks of what is said about independent segmentors."""
    return judged([_drop_of_ten_percent, _consistency_falls, _sam2_is_worst, _fill_helps])


def _drops(method: str, metrics: tuple[str, ...]) -> list[Change]:
    """Changes from CFFM to an independent variant, by backbone."""
    return [c for b in _BACKBONES for c in changes(3, ("CFFM", b), (method, b), metrics)]


def _drop_of_ten_percent() -> Finding:
    plain, filled = _drops("I-CFFM", ("mIoU",)), _drops("I-CFFM_base", ("mIoU",))
    # of either variant, as a share of CFFM's accuracy and in points
    largest = [
        max(getattr(change, unit) for change in found)
        for found in (plain, filled)
        for unit in ("percent", "points")
    ]
    alike = {value <= -10 for value in largest}
    evidence = (
        f"I-CFFM: {in_points(plain)} points, {range_text(c.percent for c in plain)} % of CFFM's; "
        f"with base fill {in_points(filled)} points, {range_text(c.percent for c in filled)} %"
    )
    return evidence, alike.pop() if len(alike) == 1 else "cannot tell"


def _consistency_falls() -> Finding:
    found, accuracy = _drops("I-CFFM", ("mVC8", "mVC16")), _drops("I-CFFM", ("mIoU",))
    falls_more = max(c.points for c in found) < min(c.points for c in accuracy)
    said = f"I-CFFM minus CFFM: mVC {in_points(found)} points, mIoU {in_points(accuracy)}"
    return said, falls_more


def _sam2_is_worst() -> Finding:
    sam2 = [row for row in paper_rows(3) if row[0].startswith("I-SAM2")]
    others = [row for row in paper_rows(3) if row not in sam2]

    def values(rows: list[tuple[str, str]], metric: str) -> list[float]:
        return [v for row in rows if (v := paper_value(3, *row, metric)) is not None]

    ends = {m: (max(values(sam2, m)), min(values(others, m))) for m in PAPER_METRICS}
    text = "; ".join(f"{m} {best} below {worst}" for m, (best, worst) in ends.items())
    worst = all(best < worst for best, worst in ends.values())
    return f"best of I-SAM2 rows against worst of all others: {text}", worst


def _fill_helps() -> Finding:
    pairs = [(("I-CFFM", b), ("I-CFFM_base", b)) for b in _BACKBONES]
    pairs.append((("I-SAM2", ""), ("I-SAM2_base", "")))
    found = [c for pair in pairs for c in changes(3, *pair, PAPER_METRICS)]
    filler = paper_value(3, "CFFM", "MiT-B1", "mIoU")
    filled = paper_value(3, "I-SAM2_base", "", "mIoU")
    evidence = (
        f"{sum(c.points > 0 for c in found)} of {len(found)} cells rise, {in_points(found)} "
        f"points; I-SAM2_base has mIoU {filled}, the CFFM MiT-B1 that fills it {filler}"
    )
    return evidence, all_rise(found)
