"""A metric that is registered from outside is in `metrics.json` and in the tables of the study."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Sums
from sam2vss_lib.metrics.protocol import MetricSettings
from sam2vss_lib.metrics.registry import METRICS
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.registry import Entry
from sam2vss_lib.study.analyses.main_results.rows import refinement_rows
from sam2vss_lib.study.results.tables import gains_table, table_frame, values_table
from sam2vss_lib.study.settings import make_settings
from sam2vss_lib.study.stages import Study
from tests.study.rows import rows

NAMES = ["mIoU", "FWIoU", "mBIoU", "mVC8", "mVC16", "PixelAcc"]


class PixelAccuracy(Metric):
    """Share of the labelled pixels that are right."""

    headline: ClassVar = {"PixelAcc": "pixel_accuracy"}
    definitions: ClassVar = {"pixel_accuracy": "Right pixels of those with ground truth."}

    def __init__(self, settings: MetricSettings) -> None:
        super().__init__(settings)
        self._sums = self.zeros(settings)

    @classmethod
    def zeros(cls, settings: MetricSettings) -> Sums:
        return {name: np.zeros((), np.int64) for name in ("pixels_right", "pixels_labelled")}

    @classmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        share = np.asarray(sums["pixels_right"] / sums["pixels_labelled"], np.float64)
        return {"PixelAcc": {"pixel_accuracy": share}}

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int) -> dict[str, str]:
        return {"PixelAcc": "the ground truth is void everywhere"}

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        labelled = ground_truth != 255
        counts = torch.zeros((2, self.settings.num_classes), dtype=torch.int64)
        counts[0, 0] = ((prediction == ground_truth) & labelled).sum()
        counts[1, 0] = labelled.sum()
        return counts

    def add(self, counts: NDArray[np.int64]) -> None:
        for name, count in zip(self._sums, counts[:, 0], strict=True):
            self._sums[name] = self._sums[name] + count

    def sums(self) -> Sums:
        return self._sums


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(f"{__name__}:{PixelAccuracy.__name__}", "right pixels")
    monkeypatch.setitem(METRICS, "pixel accuracy", entry)


def accuracy(root: Path, predictions: PredictionFolder) -> float:
    """Percent, counted pixel by pixel over all clips at once."""
    pairs = [
        (predictions.read(clip, i), clip.ground_truth(i))
        for clip in open_dataset(root, "val")
        for i in range(clip.num_frames)
    ]
    labels, truth = (np.concatenate([m[part].ravel() for m in pairs]) for part in (0, 1))
    return 100 * float((labels == truth)[truth != 255].mean())


def test_evaluate_writes_it(tiny_vspw: Path, moved_predictions: PredictionFolder, tmp_path: Path):
    out = tmp_path / "metrics.json"
    arguments = ("--dataset", tiny_vspw, "--predictions", moved_predictions.root, "--out", out)
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert [*written["metrics"]] == NAMES
    assert written["metrics"]["PixelAcc"] == pytest.approx(accuracy(tiny_vspw, moved_predictions))
    assert written["protocol"]["headline"]["PixelAcc"] == "pixel_accuracy"
    assert len(written["confidence_95"]["PixelAcc"]) == 2


def test_table_1_has_a_column_of_ours_without_any_of_the_papers(
    tiny_vspw: Path, moved_predictions: PredictionFolder, tmp_path: Path
):
    system = {"method": "CFFM", "backbone": "MiT-B1", "predictions": str(moved_predictions.root)}
    settings = {
        "profile": "p", "dataset": str(tiny_vspw), "base_systems": [system], "window": 5,
        "points_per_side": 2, "bootstrap_samples": 20, "device": "cpu",
        "out_dir": str(tmp_path / "out"), "stages_dir": str(tmp_path / "stages"),
    }  # fmt: skip
    table = refinement_rows(Study(make_settings(settings)), 1)
    frame: Any = table_frame(table).set_index("method")
    assert [c for c in frame.columns if c in NAMES] == NAMES
    run = frame[frame["status"].str.startswith("run")]
    assert run.index.tolist() == ["CFFM", "SAM2-CFFM"]
    expected = accuracy(tiny_vspw, moved_predictions)
    assert run.loc["CFFM", "PixelAcc"] == pytest.approx(expected, abs=1e-4)
    assert run["PixelAcc_gain"].notna().tolist() == [False, True]
    assert frame["PixelAcc_paper"].isna().all()
    assert values_table(table)["PixelAcc", "paper"].unique().tolist() == ["–"]
    assert frame["mIoU_paper"].notna().any()


def test_gains_of_it_have_intervals():
    gains: Any = gains_table(rows())
    assert gains["PixelAcc", "ours"].tolist()[0].startswith("+")
    assert "[" in gains["PixelAcc", "ours"].tolist()[0]
    assert gains["PixelAcc", "paper"].tolist() == ["–", "–"]
