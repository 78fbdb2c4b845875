"""Tables: our numbers and the paper's stay apart, and rows that were not run say why."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.results.tables import (
    gains_table,
    pairs,
    table_frame,
    table_row,
    values_table,
)
from sam2vss_lib.study.results.wording import caption, reading, refinement_claims, result_values
from tests.study.rows import rows


def test_table_holds_ours_gain_and_paper_in_separate_columns():
    table = rows()
    frame = table_frame(table)
    refined = frame[frame["method"] == "SAM2-CFFM"].iloc[0]
    run = table[1].evaluated
    assert run is not None
    assert refined["mBIoU"] == pytest.approx(run.metrics["metrics"]["mBIoU"], abs=5e-5)
    assert refined["mBIoU_paper"] == 29.3
    assert refined["mBIoU_gain_paper"] == 4.6  # 29.3 - 24.7 as printed
    assert refined["mBIoU_gain"] == pytest.approx(refined["mBIoU"] - frame["mBIoU"][0], abs=2e-4)
    assert refined["mBIoU_gain_low"] <= refined["mBIoU_gain"] <= refined["mBIoU_gain_high"]


def test_row_that_was_not_run_has_paper_values_only_and_a_reason():
    frame = table_frame(rows())
    missing = frame[frame["method"] == "SAM2-TV3S"].iloc[0]
    assert pd.isna(missing["mIoU"])
    assert missing["mIoU_paper"] == 41.1
    assert missing["status"] == "not run: no predictions"


def test_csv_is_the_same_every_time_and_reads_back():
    texts = [table_frame(rows()).to_csv(index=False) for _ in range(2)]
    assert texts[0] == texts[1]
    back = pd.read_csv(io.StringIO(texts[0]))
    assert back["mIoU"].dtype == "float64"
    assert back["method"].tolist() == ["CFFM", "SAM2-CFFM", "SAM2-TV3S"]


def test_readable_tables_mark_what_is_absent():
    values, gains = values_table(rows()), gains_table(rows())
    assert values["mIoU", "ours"].tolist()[2] == "–"
    assert values["mIoU", "paper"].tolist()[2] == "41.1"
    assert gains["", "Method"].tolist() == ["SAM2-CFFM", "SAM2-TV3S"]
    assert gains["mBIoU", "paper"].tolist()[0] == "+4.6"
    assert gains["mBIoU", "ours"].tolist()[0].startswith("+")
    assert gains["mBIoU", "ours"].tolist()[1] == "–"


def test_pairs_are_base_and_refined_of_what_was_run():
    table = rows()
    assert pairs(table) == [(table[0], table[1])]


def test_claims_follow_the_interval():
    def verdict(metric: str, gain: float, low: float, high: float) -> str:
        row = table_row(
            1, "SAM2-X", "b", "run", ("X", "b"), gains={metric: Gain(gain, low, high, 4)}
        )
        return refinement_claims([row])[0].verdict

    assert verdict("mBIoU", 2.0, 1.0, 3.0) == "holds"
    assert verdict("mBIoU", 2.0, -1.0, 3.0) == "undecided"
    assert verdict("mBIoU", -2.0, -3.0, -1.0) == "does not hold"
    assert verdict("mIoU", 0.5, -1.0, 2.0) == "holds"
    assert verdict("mIoU", -0.5, -1.0, 2.0) == "undecided"
    assert verdict("mIoU", -0.5, -1.0, -0.1) == "does not hold"


def test_claim_without_interval_is_undecided():
    row = table_row(
        1,
        "SAM2-X",
        "b",
        "run",
        ("X", "b"),
        gains={"mVC8": Gain(None, None, None, 1, "short")},
    )
    assert [claim.verdict for claim in refinement_claims([row])] == ["undecided"]


def test_reading_names_what_fails():
    better, worse = rows(0.2, 0.05), rows(0.05, 0.2)
    assert "0 do not hold" in reading(1, better, refinement_claims(better))
    text = reading(1, worse, refinement_claims(worse))
    assert "Against the paper's direction: SAM2-CFFM MiT-B1 does not lower mIoU" in text
    assert "1 rows of the paper's table were not run" in text


def test_result_values_keep_variants_and_evidence(tiny_vspw: Path):
    table = rows()
    study: Any = SimpleNamespace(
        settings=SimpleNamespace(dataset="data/x"),
        sam2=SimpleNamespace(name="demo"),
        dataset=open_dataset(tiny_vspw, "val"),
    )
    values = result_values(study, 1, table, refinement_claims(table), caption(study, 1))
    assert values["comparable_with_paper"] is False
    assert "not comparable with the paper" in values["caption"]
    assert values["rows"][1]["gains"]["mIoU"]["clips"] == 4
    assert "vc_eq4" in values["rows"][0]["variants"]["mVC8"]
    assert values["rows"][2]["ours"]["mIoU"] is None
    assert {claim["verdict"] for claim in values["claims"]} == {"holds"}
