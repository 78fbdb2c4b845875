"""Notebook 01 runs headlessly on a small generated data set, and what it writes is consistent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.study.stages.evaluation import count_predictions
from tests.notebooks.common import coarse_study

FILES = (
    "executed.ipynb", "result.json", "table.csv", "table.md", "table.tex",
    "fig_3.png", "fig_3.svg", "fig_boundary.png", "fig_boundary.svg", "provenance.json",
    "atlas.csv", "fig_atlas.png", "fig_atlas.svg",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("study")
    root = folder / "data"
    root.mkdir()
    write_demo(root, {"val": DemoSplit(first_seed=7, clips=2, frames=10)})
    study = coarse_study("01", root, ("CFFM", "MiT-B1"), window=5, points_per_side=8)
    study.run()
    out = study.out
    first = (out / "table.csv").read_bytes()
    study.run()
    return {"out": out, "first": first, "root": root, "predictions": study.predictions}


def test_all_files_are_there_and_nothing_half_written(run: dict[str, Any]):
    names = {path.name for path in run["out"].iterdir()}
    assert set(FILES) <= names
    assert not [name for name in names if name.startswith(".tmp")]


def test_second_run_reuses_every_stage_and_gives_the_same_table(run: dict[str, Any]):
    assert (run["out"] / "table.csv").read_bytes() == run["first"]
    stages = json.loads((run["out"] / "provenance.json").read_text())["stages"]
    names = {stage["stage"] for stage in stages}
    assert names == {"masklets", "refine", "evaluate", "boundary accuracy", "failure atlas"}
    assert all(stage["reused"] == stage["clips"] == 2 for stage in stages)


def test_numbers_in_the_table_are_measured_ones(run: dict[str, Any]):
    dataset = open_dataset(run["root"], "val")
    expected = count_predictions(dataset, run["predictions"]).compute().metrics
    table = pd.read_csv(run["out"] / "table.csv").set_index(["method", "backbone"])
    for metric, value in expected.items():
        if value is None:
            assert np.isnan(table.loc[("Coarse", "x8"), metric])
        else:
            assert table.loc[("Coarse", "x8"), metric] == pytest.approx(value, abs=5e-5)


def test_rows_that_could_not_be_run_say_why(run: dict[str, Any]):
    rows = json.loads((run["out"] / "result.json").read_text())["rows"]
    status = {(row["method"], row["backbone"]): row["status"] for row in rows}
    assert status["CFFM", "MiT-B1"].startswith("not run: no predictions at")
    assert status["SAM2-TV3S", "MiT-B5"].startswith("not run: profile demo has no")
    assert status["SAM2-Coarse", "x8"].startswith("run on 2 clips")


def test_provenance_names_everything_the_numbers_follow_from(run: dict[str, Any]):
    provenance = json.loads((run["out"] / "provenance.json").read_text())
    assert len(provenance["data_sha256"]) == 64
    assert set(provenance["checkpoint_sha256"]) == {"demo"}
    assert set(provenance["predictions_sha256"]) == {"Coarse x8"}
    assert provenance["protocol"] == "sam2vss-1"
    assert provenance["versions"]["sam2"] == "1.1.0"
    assert provenance["seed"] == 0


def link_camvid(source: Path, root: Path, frames: int) -> None:
    """The real clip at 15 Hz, cut to its first frames, in VSPW layout."""
    clip = open_dataset(source, "val").clip("0016E5_15hz_a")
    for kind, path_of in (("origin", clip.frame_path), ("mask", clip.mask_path)):
        folder = root / "data" / clip.name / kind
        folder.mkdir(parents=True)
        for i in range(frames):
            (folder / path_of(i).name).symlink_to(path_of(i))
    (root / "val.txt").write_text(clip.name)
    (root / "classes.json").write_text((source / "classes.json").read_text())


def test_notebook_runs_on_real_video(shared_data: Path, tmp_path: Path):
    root = tmp_path / "camvid"
    link_camvid(shared_data / "camvid", root, frames=18)
    study = coarse_study("01", root, window=9, points_per_side=6)
    study.run()
    result = json.loads((study.out / "result.json").read_text())
    base, refined = result["rows"][:2]
    assert all(value is not None for value in base["ours"].values())
    for metric, value in refined["ours"].items():
        gain = value - base["ours"][metric]
        assert refined["gains"][metric]["gain"] == pytest.approx(gain)
        assert refined["gains"][metric]["low"] is None  # one clip: no interval over clips
    assert {claim["verdict"] for claim in result["claims"]} == {"undecided"}
