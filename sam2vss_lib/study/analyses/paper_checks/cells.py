"""The same thing printed more than once, and how cells are printed."""

from sam2vss_lib.study.analyses.paper_checks.printed import (
    ABLATION_METRICS,
    DEFAULTS,
    Finding,
    judged,
    sweep,
)
from sam2vss_lib.study.paper import PAPER_METRICS, load_paper_tables, paper_rows, paper_value
from sam2vss_lib.study.results.schema import Claim


def cell_checks() -> list[Claim]:
    """Checks that compare cells with cells."""
    own = _defaults_among_ablations, _defaults_and_table_1
    return judged([_tables_1_and_3, *own, _decimals, _boundary_below_region])


def _tables_1_and_3() -> Finding:
    shared = [row for row in paper_rows(3) if row in paper_rows(1)]
    cells = [(row, metric) for row in shared for metric in PAPER_METRICS]
    differing = [
        f"{' '.join(row)} {metric}: {first} in Table 1, {third} in Table 3"
        for row, metric in cells
        if (first := paper_value(1, *row, metric)) != (third := paper_value(3, *row, metric))
    ]
    agree = f"{len(cells) - len(differing)} of {len(cells)} shared cells agree"
    return "; ".join([agree, *differing]), not differing


def _defaults_among_ablations() -> Finding:
    found = {
        metric: sorted({sweep(table, metric)[row] for table, row in DEFAULTS.items()})
        for metric in ABLATION_METRICS
    }
    return _listed(found), all(len(values) == 1 for values in found.values())


def _defaults_and_table_1() -> Finding:
    name = ("SAM2-CFFM", "MiT-B1")
    found = {
        metric: sorted({sweep(4, metric)[DEFAULTS[4]], paper_value(1, *name, metric) or 0.0})
        for metric in ABLATION_METRICS
    }
    differing = [metric for metric, values in found.items() if len(values) > 1]
    return f"{_listed(found)}; differing: {', '.join(differing) or 'none'}", not differing


def _decimals() -> Finding:
    tables = load_paper_tables()
    cells = [
        f"{line['row']} {line['metric']} {line['printed']} (Table {line['table']})"
        for line in tables.to_dict("records")
        if len(str(line["printed"]).partition(".")[2]) != 1
    ]
    said = f"{len(tables) - len(cells)} of {len(tables)} numbers have one decimal"
    return f"{said}; not: {', '.join(cells) or 'none'}", not cells


def _boundary_below_region() -> Finding:
    def differences(tables: tuple[int, ...]) -> list[float]:
        pairs = [
            (paper_value(table, *row, "mBIoU"), paper_value(table, *row, "mIoU"))
            for table in tables
            for row in paper_rows(table)
        ]
        return sorted(round(b - i, 2) for b, i in pairs if b is not None and i is not None)

    vspw, vipseg = differences((1, 3)), differences((2,))
    same = (vspw[-1] < 0) == (vipseg[0] < 0)
    evidence = (
        f"mBIoU minus mIoU is {vspw[0]:+.1f} to {vspw[-1]:+.1f} in all {len(vspw)} rows "
        f"on VSPW and {vipseg[0]:+.1f} to {vipseg[-1]:+.1f} in all {len(vipseg)} rows on VIPSeg"
    )
    return evidence, "consistent" if same else "cannot tell"


def _listed(values: dict[str, list[float]]) -> str:
    return "; ".join(f"{m} {' and '.join(map(str, found))}" for m, found in values.items())
