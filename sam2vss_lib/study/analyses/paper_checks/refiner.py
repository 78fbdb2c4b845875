"""Sections 4.1 and 6: what the text says of refinement, against Tables 1 and 2."""

from __future__ import annotations

from sam2vss_lib.study.analyses.paper_checks.printed import Change, gains, in_points
from sam2vss_lib.study.paper import PAPER_METRICS, load_paper_tables, paper_refinements
from sam2vss_lib.study.results.schema import Claim


def refiner_checks() -> list[Claim]:
    """Checks of what is said about SAM2 as a refiner."""
    return [
        _all_metrics(),
        _boundary_gains_most(),
        _consistency_everywhere(),
        _vipseg_boundary(),
        _vipseg_other_metrics(),
        _overall(),
        _only_vspw(),
    ]


def _up(found: list[Change]) -> str:
    """How many rise."""
    return f"{sum(c.points > 0 for c in found)} of {len(found)} rise"


def _all_metrics() -> Claim:
    found = gains(1)
    wanted = len(paper_refinements(1)) * len(PAPER_METRICS)
    ranges = "; ".join(f"{m} {in_points(c for c in found if c.metric == m)}" for m in PAPER_METRICS)
    return Claim(
        statement="On VSPW refinement raises every metric of every system.",
        where="Table 1; section 4.1, “across all evaluation metrics”",
        evidence=f"{_up(found)}: {ranges} points; {wanted - len(found)} more cannot be computed, "
        "since TV3S has no printed weighted IoU",
        verdict="consistent" if all(c.points > 0 for c in found) else "inconsistent",
        why="The paper's central statement, and the one to reproduce first.",
    )


def _boundary_gains_most() -> Claim:
    systems = {c.system for c in gains(1)}
    most = [
        max((c for c in gains(1) if c.system == system), key=lambda c: c.points).metric
        for system in systems
    ]
    boundary, others = gains(1, ["mBIoU"]), [c for c in gains(1) if c.metric != "mBIoU"]
    return Claim(
        statement="The boundary metric gains most.",
        where="Table 1; section 4.1, “notable increase in mBIoU scores”",
        evidence=f"mBIoU {in_points(boundary)}, all others {in_points(others)} points; mBIoU "
        f"gains most for {most.count('mBIoU')} of {len(systems)} systems",
        verdict="consistent" if {*most} == {"mBIoU"} else "inconsistent",
        why="The order of gains is a stronger statement than any absolute value.",
    )


def _consistency_everywhere() -> Claim:
    found = gains(1, ["mVC8", "mVC16"])
    backbones = sorted({c.system.split()[1] for c in found})
    return Claim(
        statement="Visual consistency improves for all backbones, MiT-B0 to MiT-B5.",
        where="Table 1; section 4.1",
        evidence=f"{_up(found)}, {in_points(found)} points; backbones in the table: "
        + ", ".join(backbones),
        verdict="consistent" if all(c.points > 0 for c in found) else "inconsistent",
        why="MiT-B3 and MiT-B4 are not in the table; the range is named by its ends.",
    )


def _vipseg_boundary() -> Claim:
    found = gains(2, ["mBIoU"])
    return Claim(
        statement="On VIPSeg refinement raises mBIoU for every method.",
        where="Table 2; section 4.1.1, “mBIOU gains across all methods”",
        evidence=f"{_up(found)}, {in_points(found)} points; on VSPW "
        f"{in_points(gains(1, ['mBIoU']))}",
        verdict="consistent" if all(c.points > 0 for c in found) else "inconsistent",
        why="The direction carries over; the size is well below half of that on VSPW.",
    )


def _vipseg_other_metrics() -> Claim:
    found = gains(2, ["mIoU", "mVC8", "mVC16"])
    falling = [f"{c.system} {c.metric} {c.points:+.1f}" for c in found if c.points < 0]
    least = min(c.points for c in found)
    return Claim(
        statement="On VIPSeg the other metrics stay competitive.",
        where="Table 2; section 4.1.1, “maintaining competitive performance on other metrics”",
        evidence=f"{_up(found)}; falling: {', '.join(falling) or 'none'}",
        verdict="consistent" if least >= -0.5 else "inconsistent",
        why="Read here as no loss above 0.5 points. Refinement does not raise mIoU on VIPSeg, so "
        "a reproduction must not expect it there.",
    )


def _overall() -> Claim:
    found = [*gains(1, ["mIoU"]), *gains(2, ["mIoU"])]
    vipseg = gains(2, ["mIoU"])
    mean = sum(c.points for c in vipseg) / len(vipseg)
    return Claim(
        statement="Refinement improves segmentation across methods and data sets.",
        where="Section 6, “significantly enhances semantic segmentation performance”; abstract, "
        "“enhances overall performance”",
        evidence=f"mIoU: {_up(found)}; on VIPSeg {in_points(vipseg)}, mean {mean:+.2f}"
        " points; mBIoU and mVC rise everywhere",
        verdict="cannot tell",
        why="True of boundaries and consistency, which the sentence in section 6 names; of mIoU "
        "only on VSPW. “Significantly” has no test behind it: no intervals or seeds are given.",
    )


def _only_vspw() -> Claim:
    tables = load_paper_tables()
    elsewhere = tables["table"].tolist().count(2)
    return Claim(
        statement="All experiments use VSPW.",
        where="Section 4, “All experiments were performed using the VSPW dataset”; Table 2",
        evidence=f"{elsewhere} of {len(tables)} numbers, those of Table 2, are about VIPSeg",
        verdict="inconsistent" if elsewhere else "consistent",
        why="Table 2 needs a second data set, panoptic predictions, and rules for turning them "
        "into semantic maps that the paper does not give.",
    )
