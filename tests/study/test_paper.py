"""The paper's numbers: all of them, as printed, and found by the names the study uses."""

import re
from pathlib import Path

import pytest

from sam2vss_lib.errors import DataError
from sam2vss_lib.study.paper import PAPER_METRICS, load_paper_tables, paper_value

PAPER_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "paper"


def test_every_table_has_all_its_numbers():
    tables = load_paper_tables()
    assert len(tables) == 302
    counts = tables.groupby("table").size().to_dict()
    assert counts == {1: 123, 2: 32, 3: 55, 4: 28, 5: 16, 6: 24, 7: 24}
    assert set(tables["metric"]) == set(PAPER_METRICS)


@pytest.mark.parametrize(
    ("table", "row", "backbone", "metric", "value"),
    [
        (1, "SegFormer", "MiT-B0", "mIoU", 32.9),
        (1, "SegFormer", "MiT-B0", "mBIoU", None),
        (1, "TV3S", "MiT-B1", "FWIoU", None),
        (1, "CFFM", "MiT-B0", "mBIoU", 21.8),
        (1, "SAM2-CFFM", "MiT-B1", "mIoU", 40.3),
        (1, "SAM2-TV3S", "MiT-B5", "mVC16", 89.3),
        (2, "CAVIS", "R50", "mIoU", 50.4),
        (2, "DVIS (offline)", "Swin-L", "mVC8", 91.4),
        (2, "SAM2-DVIS++", "", "mBIoU", 57.0),
        (2, "SAM2-DVIS (offline)", None, "mVC16", 88.3),
        (3, "CFFM", "MiT-B0", "mBIoU", 21.5),
        (3, "I-CFFM_base", "MiT-B2", "FWIoU", 63.2),
        (3, "I-SAM2", "", "mIoU", 18.03),
        (3, "I-SAM2_base", None, "mVC16", 46.6),
        (4, "1", None, "mVC8", 88.2),
        (4, "32", None, "mVC16", 85.1),
        (5, "16x16", None, "mIoU", 40.4),
        (5, "64x64", None, "mVC16", 84.9),
        (6, "0.9", None, "FWIoU", 60.8),
        (7, "0.4", None, "mIoU", 40.5),
        (7, "0.9", None, "mVC16", 85.0),
        (2, "CAVIS", "R50", "FWIoU", None),
        (8, "CAVIS", "R50", "mIoU", None),
    ],
)
def test_spot_checks(
    table: int, row: str, backbone: str | None, metric: str, value: float | None
) -> None:
    assert paper_value(table, row, backbone, metric) == value


def test_values_keep_their_printed_form():
    tables = load_paper_tables()
    longest = tables[tables["printed"].str.len() > 4]
    assert longest["row"].tolist() == ["I-SAM2"]
    assert longest["printed"].tolist() == ["18.03"]
    assert longest["value"].tolist() == [18.03]
    assert all(re.fullmatch(r"\d\d\.\d\d?", text) for text in tables["printed"].tolist())


def test_callers_cannot_change_each_others_table():
    mine = load_paper_tables()
    mine["value"] = 0.0
    assert paper_value(4, "32", None, "mIoU") == 40.4
    assert 0.0 not in load_paper_tables()["value"].tolist()


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric must be one of mIoU"):
        paper_value(1, "CFFM", "MiT-B0", "IoU")


def test_refined_rows_have_their_base_row():
    tables = load_paper_tables()
    names = set(tables.loc[tables["table"] <= 2, "row"])
    refined = {name for name in names if name.startswith("SAM2-")}
    assert len(refined) == 7
    assert {name.removeprefix("SAM2-") for name in refined} <= names


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("8,CFFM,,mIoU,1.0", "table: expected 1-7"),
        ("1,,,mIoU,1.0", "row: expected a name"),
        ("1,CFFM,,miou,1.0", "metric: expected mIoU"),
        ("1,CFFM,,mIoU,-", "value: expected a percentage"),
        ("1,CFFM,,mIoU,nan", "value: expected a percentage"),
        ("1,CFFM,mIoU,1.0", "expected 5 fields, got 4"),
        ("1,A,,mIoU,2.0", "given twice"),
    ],
)
def test_malformed_line_is_named(tmp_path: Path, line: str, complaint: str):
    path = tmp_path / "broken.csv"
    path.write_text(f"table,row,backbone,metric,value\n1,A,,mIoU,1.0\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_paper_tables(path)
    assert str(caught.value).startswith(f"{path}: line 3: ")
    assert complaint in str(caught.value)


def test_wrong_header_and_missing_file_are_data_errors(tmp_path: Path):
    path = tmp_path / "broken.csv"
    path.write_text("table,method,backbone,metric,value\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: expected the header"):
        load_paper_tables(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_paper_tables(tmp_path / "none.csv")


def _printed_rows(text: str, table: int) -> list[list[str]]:
    """The numbers of each row of one table of the paper's text, dashes left out."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"Table {table} "))
    width = {1: 5, 3: 5}.get(table, 4)
    rows: list[list[str]] = []
    for line in lines[start + 3 :]:
        if not line.strip():
            return rows
        cells = [cell.strip() for cell in line.split("\t")]
        rows.append([cell for cell in cells[-width:] if cell != "-"])
    return rows


@pytest.mark.parametrize("table", range(1, 8))
def test_numbers_are_those_of_the_text(table: int):
    texts = sorted(PAPER_FOLDER.glob("001_*.txt"))
    if not texts:
        pytest.skip("the paper's text is not beside this checkout")
    tables = load_paper_tables()
    ours = tables[tables["table"] == table].groupby(["row", "backbone"], sort=False)["printed"]
    assert [list(values) for _, values in ours] == _printed_rows(
        texts[0].read_text(encoding="utf-8"), table
    )
