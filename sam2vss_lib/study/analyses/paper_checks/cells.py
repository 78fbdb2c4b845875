"""The same thing printed more than once, and how cells are printed."""

from __future__ import annotations

from sam2vss_lib.study.analyses.paper_checks.printed import ABLATION_METRICS, DEFAULTS, sweep
from sam2vss_lib.study.paper import PAPER_METRICS, load_paper_tables, paper_rows, paper_value
from sam2vss_lib.study.results.schema import Claim


def cell_checks() -> list[Claim]:
    """Checks that compare cells with cells."""
    return [
        _tables_1_and_3(),
        _defaults_among_ablations(),
        _defaults_and_table_1(),
        _decimals(),
        _boundary_below_region(),
    ]


def _tables_1_and_3() -> Claim:
    shared = [row for row in paper_rows(3) if row in paper_rows(1)]
    cells = [(row, metric) for row in shared for metric in PAPER_METRICS]
    differing = [
        f"{' '.join(row)} {metric}: {first} in Table 1, {third} in Table 3"
        for row, metric in cells
        if (first := paper_value(1, *row, metric)) != (third := paper_value(3, *row, metric))
    ]
    return Claim(
        statement="Rows printed in both Table 1 and Table 3 have the same numbers.",
        where="Tables 1 and 3, rows CFFM",
        evidence=f"{len(cells) - len(differing)} of {len(cells)} shared cells agree; "
        + "; ".join(differing),
        verdict="inconsistent" if differing else "consistent",
        why="Which base value a gain is taken over changes the gain; MRCFA MiT-B0 in Table 1 is "
        "21.5 too, so either number may be the slip.",
    )


def _defaults_among_ablations() -> Claim:
    found = {
        metric: sorted({sweep(table, metric)[row] for table, row in DEFAULTS.items()})
        for metric in ABLATION_METRICS
    }
    same = all(len(values) == 1 for values in found.values())
    return Claim(
        statement="The default setting has the same numbers in all four ablations.",
        where="Tables 4-7; section 4.1.2, “following the default parameters”",
        evidence=_listed(found),
        verdict="consistent" if same else "inconsistent",
        why="One run can serve all four tables of a reproduction.",
    )


def _defaults_and_table_1() -> Claim:
    name = ("SAM2-CFFM", "MiT-B1")
    found = {
        metric: sorted({sweep(4, metric)[DEFAULTS[4]], paper_value(1, *name, metric) or 0.0})
        for metric in ABLATION_METRICS
    }
    differing = [metric for metric, values in found.items() if len(values) > 1]
    return Claim(
        statement="The ablations' default setting is the row SAM2-CFFM MiT-B1 of Table 1.",
        where="Tables 1 and 4-7; section 4.1.2",
        evidence=f"{_listed(found)}; differing: {', '.join(differing) or 'none'}",
        verdict="inconsistent" if differing else "consistent",
        why="The difference is the last printed digit (a value of 40.35 could be rounded either "
        "way), but ablation steps of 0.1 mIoU are no larger than it. That “Weighted IoU” in "
        "Table 1 and FWIoU here agree supports reading them as one metric.",
    )


def _decimals() -> Claim:
    tables = load_paper_tables()
    cells = [
        f"{line['row']} {line['metric']} {line['printed']} (Table {line['table']})"
        for line in tables.to_dict("records")
        if len(str(line["printed"]).partition(".")[2]) != 1
    ]
    return Claim(
        statement="All numbers are printed to the same precision.",
        where="Tables 1-7",
        evidence=f"{len(tables) - len(cells)} of {len(tables)} numbers have one decimal; not: "
        + (", ".join(cells) or "none"),
        verdict="inconsistent" if cells else "consistent",
        why="Agreement can be judged to ±0.05 for a cell and ±0.1 for a difference.",
    )


def _boundary_below_region() -> Claim:
    def differences(tables: tuple[int, ...]) -> list[float]:
        pairs = [
            (paper_value(table, *row, "mBIoU"), paper_value(table, *row, "mIoU"))
            for table in tables
            for row in paper_rows(table)
        ]
        return sorted(round(b - i, 2) for b, i in pairs if b is not None and i is not None)

    vspw, vipseg = differences((1, 3)), differences((2,))
    same = (vspw[-1] < 0) == (vipseg[0] < 0)
    return Claim(
        statement="mBIoU is the same measure on VSPW (Tables 1, 3) and on VIPSeg (Table 2).",
        where="Eq. 6; Tables 1-3",
        evidence=f"mBIoU minus mIoU is {vspw[0]:+.1f} to {vspw[-1]:+.1f} in all {len(vspw)} rows "
        f"on VSPW and {vipseg[0]:+.1f} to {vipseg[-1]:+.1f} in all {len(vipseg)} rows on VIPSeg",
        verdict="consistent" if same else "cannot tell",
        why="Both data sets have the same 124 classes. A band of fixed width is thinner on larger "
        "frames, and the systems differ, so this need not be a mistake; but absolute mBIoU must "
        "not be compared between these tables, only gains.",
    )


def _listed(values: dict[str, list[float]]) -> str:
    return "; ".join(f"{m} {' and '.join(map(str, found))}" for m, found in values.items())
