"""Gains on two data sets: from notebook 01 where settings agree, else by the shared stages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.analyses.cross_dataset import transfer
from sam2vss_lib.study.analyses.cross_dataset.transfer import figure_transfer
from sam2vss_lib.study.analyses.main_results.rows import refinement_rows
from sam2vss_lib.study.run.runner import find_notebooks, notebook_parameters, plan_notebook
from sam2vss_lib.study.settings import make_settings
from sam2vss_lib.study.stages import Study
from tests.study.rows import rows


def shifted(root: Path, out: Path) -> PredictionFolder:
    """Ground truth moved by a pixel, as predictions."""
    dataset = open_dataset(root, "val")
    folder = PredictionFolder(out, dataset.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            truth = clip.ground_truth(i)
            folder.write(clip, i, np.roll(np.where(truth == 255, 0, truth).astype(np.uint8), 1))
    return folder


@pytest.fixture
def study(tiny_vspw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    predictions = shifted(tiny_vspw, tmp_path / "predictions")
    system = {"method": "CFFM", "backbone": "MiT-B1", "predictions": str(predictions.root)}
    of_data: dict[str, Any] = {"dataset": str(tiny_vspw), "base_systems": [system]}

    def load_profile(name: str, notebook: str) -> dict[str, Any]:
        assert (name, notebook) == ("vspw", "01")
        return {**of_data, "window": 9}  # a setting of the refiner is not the profile's to change

    monkeypatch.setattr(transfer, "load_profile", load_profile)
    settings = {
        **of_data, "profile": "vipseg", "window": 5, "points_per_side": 2, "device": "cpu",
        "bootstrap_samples": 20, "out_dir": str(tmp_path / "results" / "vipseg" / "02"),
        "stages_dir": str(tmp_path / "results" / "vipseg" / "stages"),
    }  # fmt: skip
    return Study(make_settings(settings))


def kept(study: Study, **settings: Any) -> None:
    """A result of notebook 01, made with the study's settings but for some."""
    path = study.root.parents[1] / "vspw" / "01_main_results" / "result.json"
    row = {"method": "CFFM", "backbone": "MiT-B1", "ours": {"mIoU": 1.0}}
    identity = {**study.settings.identity(), "dataset": "/data/VSPW_480p", **settings}
    write_json(path, {"format_version": 1, "settings": identity, "rows": [row]})


@pytest.mark.parametrize(("first", "second"), [("demo", "demo"), ("vspw", "vipseg")])
def test_profiles_change_no_setting_of_the_refiner_from_notebook_01_to_02(first: str, second: str):
    kinds: list[dict[str, Any]] = []
    for number, profile in (("01", first), ("02", second)):
        (notebook,) = find_notebooks(number)
        plan = plan_notebook(notebook, profile, Path("results"), {})
        settings = make_settings({**notebook_parameters(notebook), **plan})
        kinds.append(transfer.refiner_settings(settings.identity()))
    assert kinds[0] == kinds[1]
    assert {"window", "points_per_side", "votes", "checkpoint"} < kinds[0].keys()


def test_results_of_notebook_01_are_taken_if_the_refiner_was_set_the_same(study: Study):
    kept(study, seed=5, profile="vspw", base_systems=[])
    first = transfer.first_results(study)
    assert (first.dataset, first.source) == ("VSPW_480p", "1 rows of notebook 01")
    assert first.rows[0].ours["mIoU"] == 1.0


def test_results_of_other_settings_are_not_mixed_in_but_computed_anew(study: Study):
    kept(study, window=32)
    first = transfer.first_results(study)
    assert first.dataset == "tiny"
    assert first.source == "computed, 0 of 4 stages reused"
    here = [row for row in refinement_rows(study, 1) if row.evaluated is not None]
    assert [row.ours for row in first.rows] == [row.ours for row in here]
    again = transfer.first_results(study)
    assert again.source == "computed, 4 of 4 stages reused"
    assert again.rows == first.rows


def test_first_data_set_that_is_not_there_is_a_reason(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    missing = {"dataset": str(tmp_path / "nowhere")}
    monkeypatch.setattr(transfer, "load_profile", lambda name, notebook: missing)
    first = transfer.first_results(study)
    assert first.rows == ()
    assert first.source.startswith(f"not run: {tmp_path / 'nowhere'}")
    assert "No system was refined on both" in transfer.transfer_reading(first, rows(), "second")


def comparison() -> transfer.FirstResults:
    """The rows of `tests.study.rows`, with a loss in mIoU and no other gain."""
    base, refined, _ = rows()
    gains = {"mIoU": replace(refined.gains["mIoU"], gain=-1.0)}
    return transfer.FirstResults("first", (base, refined.model_copy(update={"gains": gains})), "")


def test_gains_are_listed_by_data_set_beside_all_of_the_papers():
    frame = transfer.gains_by_data(comparison(), rows(), "second")
    assert list(dict.fromkeys(frame["data"])) == ["first", "second", "paper: VSPW", "paper: VIPSeg"]
    counts = frame[frame["source"] == "paper"].groupby("data")["system"].nunique()
    assert counts.to_dict() == {"paper: VIPSeg": 4, "paper: VSPW": 11}
    cavis = frame.query("system == 'SAM2-CAVIS'").set_index("metric")["gain"]
    assert cavis.to_dict() == {"mIoU": -0.1, "mBIoU": 1.5, "mVC8": 0.5, "mVC16": 0.7}
    offline = frame.query("system == 'SAM2-DVIS (offline)'").set_index("metric")["gain"]
    assert offline.to_dict()["mVC16"] == 0.6
    assert frame.query("data == 'first'")["gain"].tolist() == [-1.0]


def test_table_and_reading_set_the_same_system_side_by_side():
    table = transfer.transfer_table(comparison(), rows(), "second")
    assert table["", "Data"].tolist() == ["first", "second"]
    first = table.to_dict("records")[0]
    assert first["gain", "mIoU"].startswith("-1.00 [")
    assert first["gain", "mBIoU"] == "–"
    reading = transfer.transfer_reading(comparison(), rows(), "second")
    assert reading == (
        "Of the gains on first, 0 are above zero; 0 of these are so on second too. "
        "1 are not; 0 of these are not on second."
    )


def test_figure_has_a_panel_a_metric_and_a_band_a_data_set():
    figure = figure_transfer(transfer.gains_by_data(comparison(), rows(), "second"))
    assert [axis.get_title() for axis in figure.axes] == list(transfer.METRICS)
    bands = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert bands == ["first", "second", "paper: VSPW", "paper: VIPSeg"]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["CFFM MiT-B1", "frame vote", "paper"]
    gain = rows()[1].gains["mBIoU"].gain
    drawn = [np.asarray(line.get_xdata()).tolist() for line in figure.axes[1].lines]
    assert [gain] in drawn
