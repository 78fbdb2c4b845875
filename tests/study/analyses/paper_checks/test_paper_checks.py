"""Checks of the paper follow its printed numbers, and turn when those turn."""

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from sam2vss_lib.storage.places import manifest_path
from sam2vss_lib.study.analyses.paper_checks import cells, figures, systems
from sam2vss_lib.study.analyses.paper_checks.ablations import best_settings
from sam2vss_lib.study.analyses.paper_checks.results import checks_frame, checks_values, run_checks
from sam2vss_lib.study.paper import paper_value
from sam2vss_lib.study.results.schema import Claim, parse_result

PAPER_FOLDER = Path(__file__).resolve().parents[5] / "shared" / "paper"


def found(words: str) -> Claim:
    (check,) = [c for c in run_checks() if words in c.statement]
    return check


def test_verdicts_on_the_paper_as_printed():
    verdicts: dict[str, int] = defaultdict(int)
    for check in run_checks():
        verdicts[check.verdict] += 1
        assert check.where
        assert check.evidence
        assert check.why
    assert verdicts == {"consistent": 17, "inconsistent": 4, "cannot tell": 6}


def test_a_cell_printed_twice():
    check = found("both Table 1 and Table 3")
    assert check.verdict == "inconsistent"
    assert check.evidence == (
        "14 of 15 shared cells agree; CFFM MiT-B0 mBIoU: 21.8 in Table 1, 21.5 in Table 3"
    )


Cell = tuple[int, str, str, str]


def changed(cell: Cell, to: float) -> Callable[[int, str, str | None, str], float | None]:
    """The paper with one other number."""

    def value(table: int, row: str, backbone: str | None, metric: str) -> float | None:
        if (table, row, backbone or "", metric) == cell:
            return to
        return paper_value(table, row, backbone, metric)

    return value


@pytest.mark.parametrize(
    ("module", "statement", "cell", "to", "verdict"),
    [
        (cells, "both Table 1", (3, "CFFM", "MiT-B0", "mBIoU"), 21.8, "consistent"),
        (cells, "default setting is", (1, "SAM2-CFFM", "MiT-B1", "mIoU"), 40.4, "consistent"),
        (cells, "default setting is", (1, "SAM2-CFFM", "MiT-B1", "mVC8"), 9.9, "inconsistent"),
        (systems, "I-SAM2 is the worst", (3, "I-CFFM", "MiT-B0", "mIoU"), 20.0, "inconsistent"),
    ],
)
def test_verdict_turns_with_the_number(
    monkeypatch: pytest.MonkeyPatch, module: object, statement: str, cell: Cell, to: float,
    verdict: str,
):  # fmt: skip
    assert found(statement).verdict != verdict or to == 9.9
    monkeypatch.setattr(module, "paper_value", changed(cell, to))
    assert found(statement).verdict == verdict


@pytest.mark.parametrize(
    ("statement", "cell", "to"),
    [
        ("every metric of every system", (1, "SAM2-CFFM", "MiT-B5", "mVC8"), 90.7),
        ("boundary metric gains most", (1, "SAM2-TV3S", "MiT-B2", "mBIoU"), 30.0),
        ("mBIoU for every method", (2, "SAM2-CAVIS", "", "mBIoU"), 55.3),
        ("stay competitive", (2, "SAM2-DVIS", "", "mVC16"), 80.0),
        ("every step of the window", (4, "8", "", "mVC8"), 88.6),
        ("hardly changes mIoU", (4, "8", "", "mIoU"), 40.0),
        ("32 is the best choice", (4, "32", "", "mVC16"), 84.5),
        ("high and a low confidence", (6, "0.4", "", "mIoU"), 40.3),
        ("in all four ablations", (6, "0.6", "", "mIoU"), 40.3),
        ("Filling uncovered", (3, "I-SAM2_base", "", "mBIoU"), 13.0),
    ],
)
def test_consistent_statement_turns_with_the_number(
    monkeypatch: pytest.MonkeyPatch, statement: str, cell: Cell, to: float
):
    assert found(statement).verdict == "consistent"
    from sam2vss_lib.study.analyses.paper_checks import printed

    monkeypatch.setattr(printed, "paper_value", changed(cell, to))
    assert found(statement).verdict == "inconsistent"


def test_gains_of_table_1_are_counted_once_each():
    check = systems.refiner_checks()[0]
    assert check.evidence.startswith("52 of 52 rise")  # 11 systems x 5 metrics, TV3S without 3
    assert "3 more cannot be computed" in check.evidence


def test_best_settings_agree_with_the_file():
    """The oracle reads the CSV itself."""
    columns: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    with manifest_path("paper_tables.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            columns[int(line["table"]), line["metric"]][line["row"]] = float(line["value"])
    frame = best_settings()
    assert len(frame) == 16
    for line in frame.to_dict("records"):
        values = columns[line["table"], line["metric"]]
        top = max(values.values())
        assert line["at_best"] == top
        assert line["best"].split(", ") == [name for name in values if values[name] == top]
        assert line["deficit"] == pytest.approx(top - values[line["chosen"]])


def test_quotes_are_the_papers_words():
    texts = sorted(PAPER_FOLDER.glob("001_*.txt"))
    if not texts:
        pytest.skip("the paper's text is not beside this checkout")
    paper = " ".join(
        texts[0].read_text(encoding="utf-8").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split()
    )
    for check in run_checks():
        for quote in re.findall("“(.*?)”", check.where):
            for part in quote.split("..."):
                assert part.strip() in paper, (check.statement, part)


def test_values_follow_the_schema_and_the_reading_names_what_disagrees():
    checks = run_checks()
    result = parse_result(checks_values(checks), "result.json")
    assert len(result.claims) == len(checks)
    assert not result.demo
    assert result.reading.count("Table 1 and Table 3") == 1
    assert checks_frame(checks)["check"].tolist() == [*range(1, len(checks) + 1)]


def test_figures_mark_the_choice_and_every_system():
    axes = figures.ablation_figure().axes
    assert [axis.get_title() for axis in axes] == [
        "Table 4: window", "Table 5: point grid", "Table 6: confidence", "Table 7: stability",
    ]  # fmt: skip
    (axis,) = figures.boundary_figure().axes
    arrows = [text for text in axis.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 15
