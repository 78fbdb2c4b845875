"""Notebook 10 runs headlessly without a data set, and leaves what the report reads."""

import json
from pathlib import Path

import pandas as pd

from sam2vss_lib.study.results.schema import parse_result
from sam2vss_lib.study.run.runner import find_notebooks, plan_notebook, run_notebook


def test_notebook_leaves_its_files(tmp_path: Path):
    (notebook,) = find_notebooks("10")
    plan = plan_notebook(notebook, "vspw", tmp_path, {})
    run_notebook(notebook, plan)
    out = tmp_path / "vspw" / "10_paper_checks"
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "executed.ipynb", "result.json", "table.csv", "table.md", "table.tex", "provenance.json",
        "fig_ablations.png", "fig_ablations.svg", "fig_boundary.png", "fig_boundary.svg",
    }  # fmt: skip
    result = parse_result(json.loads((out / "result.json").read_text()), "result.json")
    table = pd.read_csv(out / "table.csv")
    assert table["verdict"].tolist() == [claim.verdict for claim in result.claims]
    assert [figure.name for figure in result.figures] == ["ablations", "boundary"]
    provenance = json.loads((out / "provenance.json").read_text())
    assert len(provenance["data_sha256"]) == 64
    assert provenance["checkpoint_sha256"] == {}
