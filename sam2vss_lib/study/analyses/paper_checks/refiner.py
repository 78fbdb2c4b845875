"""Sections 4.1 and 6: what the text says of refinement, against Tables 1 and 2."""

from __future__ import annotations

from sam2vss_lib.study.analyses.paper_checks.printed import (
    Change,
    Finding,
    all_rise,
    gains,
    in_points,
    judged,
)
from sam2vss_lib.study.paper import PAPER_METRICS, load_paper_tables, paper_refinements
from sam2vss_lib.study.results.schema import Claim


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
    return (
        f"{_up(found)}, {in_points(found)} points; on VSPW {in_points(gains(1, ['mBIoU']))}",
        all_rise(found),
    )


def _vipseg_other_metrics() -> Finding:
    found = gains(2, ["mIoU", "mVC8", "mVC16"])
    falling = [f"{c.system} {c.metric} {c.points:+.1f}" for c in found if c.points < 0]
    return f"{_up(found)}; falling: {', '.join(falling) or 'none'}", min(
        c.points for c in found
    ) >= -0.5


def _overall() -> Finding:
    found = [*gains(1, ["mIoU"]), *gains(2, ["mIoU"])]
    vipseg = gains(2, ["mIoU"])
    mean = sum(c.points for c in vipseg) / len(vipseg)
    evidence = (
        f"mIoU: {_up(found)}; on VIPSeg {in_points(vipseg)}, mean {mean:+.2f}"
        " points; mBIoU and mVC rise everywhere"
    )
    return evidence, "cannot tell"


def _only_vspw() -> Finding:
    tables = load_paper_tables()
    elsewhere = tables["table"].tolist().count(2)
    return (
        f"{elsewhere} of {len(tables)} numbers, those of Table 2, are about VIPSeg",
        not elsewhere,
    )
