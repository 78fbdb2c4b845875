"""The paper's printed numbers, Tables 1-7, from `data_manifests/paper_tables.csv`."""

import csv
import re
from functools import lru_cache
from pathlib import Path

import pandas as pd

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.places import manifest_path

PAPER_METRICS = ("mIoU", "FWIoU", "mBIoU", "mVC8", "mVC16")
_COLUMNS = ("table", "row", "backbone", "metric", "value")


def load_paper_tables(path: Path | None = None) -> pd.DataFrame:
    """Read the paper's numbers, or those of a file of the same form, in printed order.

    Returns:
        Columns `table` (int, 1-7), `row`, `backbone` ("" where the paper prints none), `metric`
        (one of `PAPER_METRICS`), `value` (float, percent) and `printed` (the string as printed).

    Raises:
        DataError: the file is missing or malformed; the message names file, line and field.

    Example:
        >>> len(load_paper_tables())
        302
    """
    return _read(path or manifest_path("paper_tables.csv")).copy()


def paper_value(table: int, row: str, backbone: str | None, metric: str) -> float | None:
    """Look up one number of the paper, in percent; None where it prints none.

    A row is a method or a setting, such as `SAM2-CFFM`, `I-SAM2_base`, `32`, `16x16` or `0.6`; its
    backbone, such as `MiT-B1` or `R50`, is "" or None where the table prints none.

    Raises:
        ValueError: `metric` is not one of `PAPER_METRICS`.

    Example:
        >>> paper_value(1, "SAM2-CFFM", "MiT-B1", "mBIoU")
        29.3
        >>> paper_value(1, "SegFormer", "MiT-B1", "mBIoU") is None
        True
    """
    if metric not in PAPER_METRICS:
        raise ValueError(f"metric must be one of {', '.join(PAPER_METRICS)}, got {metric!r}")
    return _index(manifest_path("paper_tables.csv")).get((table, row, backbone or "", metric))


def paper_rows(table: int) -> list[tuple[str, str]]:
    """Row and backbone names of a table, in printed order.

    Example:
        >>> paper_rows(1)[0]
        ('SegFormer', 'MiT-B0')
    """
    cells = _index(manifest_path("paper_tables.csv"))
    return list(dict.fromkeys((row, name) for number, row, name, _ in cells if number == table))


def paper_refinements(table: int) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Base row and refined row of Table 1 or 2; Table 2 prints refined rows without backbone.

    Example:
        >>> paper_refinements(2)[0]
        (('CAVIS', 'R50'), ('SAM2-CAVIS', ''))
    """
    rows = paper_rows(table)
    return [
        ((method, backbone), refined)
        for method, backbone in rows
        for refined in ((f"SAM2-{method}", backbone), (f"SAM2-{method}", ""))
        if refined in rows
    ]


@lru_cache(maxsize=4)
def _read(path: Path) -> pd.DataFrame:
    """Parse and check the file; `load_paper_tables` hands out copies."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not lines or tuple(lines[0]) != _COLUMNS:
        raise DataError(f"{path}: line 1: expected the header {','.join(_COLUMNS)}")
    records: dict[tuple[object, ...], tuple[object, ...]] = {}
    for number, line in enumerate(lines[1:], start=2):
        record = _record(line, f"{path}: line {number}")
        if record[:4] in records:
            raise DataError(f"{path}: line {number}: the same cell is given twice")
        records[record[:4]] = record
    return pd.DataFrame(records.values(), columns=[*_COLUMNS, "printed"])


def _record(line: list[str], where: str) -> tuple[int, str, str, str, float, str]:
    """Check one line and convert its table number and value."""
    if len(line) != len(_COLUMNS):
        raise DataError(f"{where}: expected {len(_COLUMNS)} fields, got {len(line)}")
    table, row, backbone, metric, value = line
    expected = {
        "table": ("1-7", "[1-7]"),
        "row": ("a name", ".+"),
        "metric": (", ".join(PAPER_METRICS), "|".join(PAPER_METRICS)),
        "value": ("a percentage", r"\d{1,2}(\.\d+)?|100(\.0+)?"),
    }
    given = table, row, metric, value
    for text, (name, (words, pattern)) in zip(given, expected.items(), strict=True):
        if not re.fullmatch(pattern, text):
            raise DataError(f"{where}: {name}: expected {words}, got {text!r}")
    return int(table), row, backbone, metric, float(value), value


@lru_cache(maxsize=1)
def _index(path: Path) -> dict[tuple[int, str, str, str], float]:
    """Value of every cell by table, row, backbone and metric."""
    return _read(path).set_index(["table", "row", "backbone", "metric"])["value"].to_dict()
