"""Notebook 02 runs headlessly on a small second world, beside what notebook 01 has left."""

import json
from typing import Any

import pandas as pd
import pytest

from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.datasets.demo.night import NIGHT
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.results.schema import parse_result
from sam2vss_lib.study.run.runner import notebook_parameters
from sam2vss_lib.study.settings import make_settings
from tests.notebooks.common import coarse_study


def result_of_notebook_01(settings: dict[str, Any]) -> dict[str, Any]:
    """Two rows on a first world, refined with `settings`."""
    ours = {"mIoU": 70.0, "FWIoU": 80.0, "mBIoU": 50.0, "mVC8": 90.0, "mVC16": None}
    gains = {"mIoU": -1.0, "mBIoU": 2.0, "mVC8": 0.5}
    return {
        "format_version": 1,
        "settings": {**settings, "dataset": "/elsewhere/first"},
        "rows": [
            {"method": "Coarse", "backbone": "x8", "ours": ours},
            {
                "method": "SAM2-Coarse", "backbone": "x8", "ours": ours,
                "gains": {m: {"gain": g, "low": g - 1, "high": g + 1} for m, g in gains.items()},
            },
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("study")
    root = folder / "second"
    root.mkdir()
    write_demo(root, {"val": DemoSplit(first_seed=7, clips=2, frames=9)}, NIGHT)
    study = coarse_study(
        "02", root, ("CAVIS", "R50"), window=4, points_per_side=6, bootstrap_samples=50
    )
    settings = make_settings({**notebook_parameters(study.notebook), **study.plan})
    out = study.out
    first = result_of_notebook_01(settings.identity())
    write_json(out.with_name("01_main_results") / "result.json", first)
    study.run()
    values = json.loads((out / "result.json").read_text())
    return {"out": out, "values": values, "first": first}


def test_all_files_are_there(run: dict[str, Any]):
    assert {path.name for path in run["out"].iterdir()} >= {
        "executed.ipynb", "result.json", "table.csv", "table.md", "table.tex", "provenance.json",
        "fig_transfer.png", "fig_transfer.svg", "fig_examples.png", "fig_gains_class.png",
    }  # fmt: skip
    parse_result(run["values"], "result.json")


def test_rows_are_those_of_table_2_and_each_has_numbers_or_a_reason(run: dict[str, Any]):
    table = pd.read_csv(run["out"] / "table.csv", keep_default_na=True)
    rows = {row["method"]: row for row in run["values"]["rows"]}
    assert list(table["method"]) == list(rows)
    assert {"CAVIS", "DVIS++", "DVIS", "DVIS (offline)", "SAM2-DVIS (offline)"} < set(rows)
    assert rows["SAM2-Coarse"]["status"].startswith("run on 2 clips of ")
    assert rows["CAVIS"]["status"].startswith("not run: no predictions at")
    assert rows["SAM2-CAVIS"]["paper_gains"]["mBIoU"] == 1.5
    assert run["values"]["table"] == 2
    assert "not comparable with the paper's numbers" in run["values"]["caption"]


def test_every_claim_of_the_paper_is_judged_for_every_refined_row(run: dict[str, Any]):
    statements = [claim["statement"] for claim in run["values"]["claims"]]
    refined = ("SAM2-Coarse x8", "SAM2-Coarse (window vote) x8")
    assert [s for s in statements if "mVC16" not in s] == [
        f"{row} {direction} {metric}"
        for row in refined
        for metric, direction in (
            ("mIoU", "does not lower"), ("mBIoU", "raises"), ("mVC8", "raises"),
        )
    ]  # fmt: skip


def test_notebook_01s_gains_stand_beside_ours(run: dict[str, Any]):
    assert run["values"]["notes"] == ["Gains on the first data set, first: 2 rows of notebook 01."]
    lines = (run["out"] / "table.md").read_text().split("## Both data sets")[1].splitlines()
    assert any("SAM2-Coarse x8" in line and "+2.00 [+1.00, +3.00]" in line for line in lines)
    assert "Of the gains on first, 2 are above zero" in run["values"]["reading"]


def test_flips_of_the_frame_vote_stand_beside_its_consistency(run: dict[str, Any]):
    (table,) = parse_result(run["values"], "result.json").tables
    assert table.title == "Votes that flip"
    assert {row[1] for row in table.rows} == {"1_demo7", "2_demo8"}
    assert "mVC8 falls in " in run["values"]["reading"].split("Coarse x8: ")[1]
