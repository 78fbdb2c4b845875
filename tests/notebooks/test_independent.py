"""Notebook 03 runs headlessly on a few generated frames, and a second run reuses every stage."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.study.analyses.independent_sam2.rows import encoder_runs, independent_rows
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.results.schema import parse_result
from sam2vss_lib.study.results.tables import table_frame
from sam2vss_lib.study.run.runner import (
    find_notebooks,
    notebook_parameters,
    plan_notebook,
    run_notebook,
)
from sam2vss_lib.study.settings import make_settings

FILES = (
    "executed.ipynb", "result.json", "table.csv", "table.md", "table.tex", "provenance.json",
    "fig_parts.png", "fig_classes.svg", "fig_examples.png",
)  # fmt: skip
STAGES = {
    "segment", "evaluate", "masklets", "training masklets", "features", "training features",
    "classifier", "paint",
}  # fmt: skip


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The parameters of a run that is done."""
    folder = tmp_path_factory.mktemp("study")
    root = folder / "data"
    root.mkdir()
    train, val = DemoSplit(first_seed=91, clips=3, frames=6), DemoSplit(7, clips=2, frames=10)
    write_demo(root, {"train": train, "val": val})
    overrides = {
        "dataset": str(root),
        "base_systems": [
            {"method": "SegFormer", "backbone": "micro", "segmentor": "segformer-micro"},
            {"method": "CFFM", "backbone": "MiT-B1", "predictions": str(folder / "nowhere")},
        ],
        "encoders": [
            {"method": "I-CFFM", "backbone": "MiT-B1", "encoder": "segformer-micro",
             "base": "CFFM MiT-B1"},
            {"method": "I-SAM2", "backbone": "", "encoder": "sam2:demo",
             "base": "SegFormer micro"},
        ],
        "train_frame_step": 3,
        "train_points_per_side": 4,
        "classifier": {"hidden": 8, "epochs": 2},
        "window": 5,
        "points_per_side": 5,
        "device": "cpu",
        "bootstrap_samples": 100,
    }  # fmt: skip
    (notebook,) = find_notebooks("03")
    given = plan_notebook(notebook, "demo", folder / "results", overrides)
    run_notebook(notebook, given)
    return {**notebook_parameters(notebook), **given}


def test_all_files_are_there_and_the_report_can_read_them(plan: dict[str, Any]):
    out = Path(plan["out_dir"])
    assert set(FILES) <= {path.name for path in out.iterdir()}
    result = parse_result(json.loads((out / "result.json").read_text()), "result.json")
    assert result.table == 3
    titles = [table.title for table in result.tables]
    assert titles == ["Seeds", "Masklets or classifier", "Consistent or constant", "Training"]
    assert len(result.tables[0].rows) == 3  # I-CFFM, I-SAM2 and I-SAM2_base
    assert "under no masklet" in result.notes[0]


def test_rows_claims_and_reasons(plan: dict[str, Any]):
    result = json.loads((Path(plan["out_dir"]) / "result.json").read_text())
    rows = {(row["method"], row["backbone"]): row for row in result["rows"]}
    assert rows["I-SAM2", ""]["status"].startswith("run on 2 clips")
    missing = [metric for metric, value in rows["I-SAM2_base", ""]["ours"].items() if not value]
    assert missing == ["mVC16"]  # for which clips of ten frames are too short
    assert rows["I-SAM2_base", ""]["gains"]["mIoU"]["gain"] > 0  # nothing is lost by the fill
    # without its base system an encoder's masklets can still be classified, but not filled
    assert rows["I-CFFM", "MiT-B1"]["ours"]["mIoU"] is not None
    assert rows["I-CFFM", "MiT-B1"]["gains"] == {}
    for name in (("CFFM", "MiT-B1"), ("I-CFFM_base", "MiT-B1")):
        assert rows[name]["status"].startswith("not run: no predictions at")
    assert rows["CFFM", "MiT-B2"]["status"].startswith("not run: profile demo has no")
    statements = [claim["statement"] for claim in result["claims"]]
    assert statements[0] == "I-SAM2 lowers mIoU against SegFormer micro"
    assert all("seed 2" in claim["evidence"] for claim in result["claims"])


def test_provenance_names_classifiers_and_encoders(plan: dict[str, Any]):
    provenance = json.loads((Path(plan["out_dir"]) / "provenance.json").read_text())
    hashes = provenance["checkpoint_sha256"]
    assert {"demo", "SegFormer micro", "encoder sam2:demo@fpn16"} <= hashes.keys()
    trained = {hashes[f"classifier I-SAM2 seed {seed}"] for seed in (0, 1, 2)}
    assert len(trained) == 3
    assert {stage["stage"] for stage in provenance["stages"]} == STAGES


def computed(plan: dict[str, Any]) -> tuple[IndependentStudy, pd.DataFrame]:
    study = IndependentStudy(make_settings(plan))
    return study, table_frame(independent_rows(study, encoder_runs(study)))


def test_second_run_reuses_every_stage_and_a_fresh_one_gives_the_same_table(plan: dict[str, Any]):
    study, again = computed(plan)
    assert all(run.reused == run.clips for run in study.log)
    assert {run.stage for run in study.log} == STAGES
    for folder in ("classifiers", "independent", "metrics"):
        shutil.rmtree(study.root / folder)
    study, anew = computed(plan)
    assert {run.stage for run in study.log if not run.reused} == {"classifier", "paint", "evaluate"}
    pd.testing.assert_frame_equal(again, anew)
    written = pd.read_csv(Path(plan["out_dir"]) / "table.csv", keep_default_na=False)
    assert written.shape == anew.shape
    numbers = [name for name in anew.columns if anew[name].dtype == "float64"]
    found = written[numbers].apply(pd.to_numeric, errors="coerce").astype("float64")
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(anew[numbers]))
