"""Notebook 00 headlessly: on a data set, and on somebody's own frames and predictions."""

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.study.run.runner import find_notebooks, plan_notebook, run_notebook
from sam2vss_lib.study.settings import QuickStartSettings
from sam2vss_lib.widgets.quick_start import quick_study, what_is_there

MOST_BYTES = 3 * 2**20


def run(out: Path, **given: Any) -> tuple[Path, QuickStartSettings]:
    """Run the notebook as `sam2vss study --only 00` does; its folder and settings."""
    (notebook,) = find_notebooks("00")
    plan = plan_notebook(notebook, "demo", out, given)
    run_notebook(notebook, plan)
    return Path(plan["out_dir"]), QuickStartSettings(**plan)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    root = tmp_path / "world"
    root.mkdir()
    write_demo(root, {"val": DemoSplit(first_seed=3, clips=1, frames=3)})
    return root


def test_a_data_set_is_refined_measured_and_shown(world: Path, tmp_path: Path) -> None:
    out, settings = run(tmp_path / "results", source=str(world))
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "executed.ipynb", "result.json", "table.csv", "table.md", "table.tex", "provenance.json",
        "explorer.svg", "explorer.pdf", "explorer.png", "clip.mp4",
    }  # fmt: skip
    assert (out / "executed.ipynb").stat().st_size < MOST_BYTES
    study = quick_study(settings)
    rows = study.rows()
    assert study.log[-1].reused == 1  # everything is where the notebook has left it
    table = pd.read_csv(out / "table.csv", index_col=0)
    for row in rows:
        written = table.loc[[row.label]].to_numpy()[0]
        expected = [np.nan if value is None else value for value in row.ours.values()]
        np.testing.assert_allclose(written.astype(float), expected)
    cells = nbformat.read(out / "executed.ipynb", as_version=4).cells
    assert sum(cell.cell_type == "code" for cell in cells) == 5 + 1  # papermill's parameters
    (shown,) = [c for c in cells if c.cell_type == "code" and "explore(" in c.source]
    assert any("image/png" in output.get("data", {}) for output in shown.outputs)


def test_own_frames_and_predictions_need_no_ground_truth(world: Path, tmp_path: Path) -> None:
    frames, base = tmp_path / "street", tmp_path / "base" / "street"
    frames.mkdir()
    base.mkdir(parents=True)
    for path in sorted((world / "data").glob("*/origin/*.jpg")):
        (frames / f"img_{path.name}").write_bytes(path.read_bytes())
        labels = np.zeros((240, 320), np.uint8)
        labels[100:] = 7
        Image.fromarray(labels).save(base / f"img_{path.stem}.png")
    given = {"source": str(frames), "predictions": str(base.parent), "num_classes": 9}
    out, settings = run(tmp_path / "results", **given)
    table = pd.read_csv(out / "table.csv")
    assert [*table["vote"]] == ["frame", "masklet"]
    study = quick_study(settings)
    (system,), (clip,) = study.settings.base_systems, study.dataset
    folder = study.refined(system, "frame").folder
    pairs = [(study.base(system).folder.read(clip, i), folder.read(clip, i)) for i in range(3)]
    changed = 100 * np.mean([np.mean(a != b) for a, b in pairs])
    assert next(iter(table["changed pixels (%)"])) == pytest.approx(changed)


def test_frames_of_a_folder_are_resized_and_missing_labels_are_said_at_once(
    world: Path, tmp_path: Path
) -> None:
    (frames,) = (world / "data").glob("*/origin")
    places: dict[str, Any] = {"profile": "demo", "out_dir": "out", "stages_dir": str(tmp_path)}
    small = quick_study(QuickStartSettings(**places, source=str(frames), height_px=60))
    assert [clip.size for clip in small.dataset] == [(60, 80)]
    assert small.dataset.clips[0].num_frames == 3
    given: dict[str, Any] = {**places, "source": str(frames), "predictions": str(tmp_path / "base")}
    with pytest.raises(DataError, match=r"base.origin.00000001.png: no such prediction"):
        quick_study(QuickStartSettings(**given))


def test_the_guide_is_run_only_if_it_is_asked_for() -> None:
    assert "00_quick_start" not in [path.stem for path in find_notebooks()]
    assert [path.stem for path in find_notebooks("0")] == ["00_quick_start"]


def test_a_wrong_parameter_is_refused(tmp_path: Path) -> None:
    (notebook,) = find_notebooks("00")
    with pytest.raises(SettingsError, match="num_classes"):
        plan_notebook(notebook, "demo", tmp_path, {"num_classes": 300})


def test_what_is_missing_has_a_command() -> None:
    lines = what_is_there().to_numpy().tolist()
    here = {what: said for what, said, _ in lines}
    assert "segformer-mini" in here["base models that are embedded"]
    assert all(command.startswith("sam2vss ") for _, said, command in lines if said == "no")


def test_the_notebook_has_five_cells_and_literal_parameters() -> None:
    (notebook,) = find_notebooks("00")
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert sum(cell["cell_type"] == "code" for cell in cells) == 5
