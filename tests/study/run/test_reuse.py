"""What a run says at its end about the stages it found done."""

from pathlib import Path
from typing import Any

from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.run.batch import reuse_table


def executed(folder: Path, notebooks: dict[str, list[tuple[str, int, int]]]) -> dict[str, Path]:
    """Notebooks with stages of (name, clips, reused)."""
    paths: dict[str, Path] = {}
    for name, stages in notebooks.items():
        paths[name] = folder / name / "executed.ipynb"
        runs: list[dict[str, Any]] = [
            {"stage": stage, "key": "k", "clips": clips, "reused": reused, "seconds": 0.1}
            for stage, clips, reused in stages
        ]
        write_json(paths[name].with_name("provenance.json"), {"stages": runs})
    return paths


def test_stages_are_summed_over_their_runs_and_notebooks(tmp_path: Path):
    stages = {
        "01_main": [("masklets", 8, 8), ("refine", 8, 0), ("refine", 8, 3)],
        "04_window": [("masklets", 3, 3), ("evaluate", 3, 1)],
        "10_paper": [],
    }
    lines = reuse_table(executed(tmp_path, stages)).splitlines()
    assert lines[0].startswith("clips reused / needed, by stage and notebook")
    assert [line.split() for line in lines[1:]] == [
        ["01", "04", "all"],
        ["masklets", "8/8", "3/3", "11/11"],
        ["refine", "3/16", "3/16"],
        ["evaluate", "1/3", "1/3"],
        ["all", "11/24", "4/6", "15/30"],
    ]


def test_no_stages_are_said_to_be_none(tmp_path: Path):
    assert reuse_table({}) == "no stage was run, nothing reused"
    assert reuse_table(executed(tmp_path, {"10_paper": []})) == "no stage was run, nothing reused"
