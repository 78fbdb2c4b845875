"""metrics.json and provenance: everything needed to make a number again is written with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.study.results.tables import table_frame, table_row, values_table
from sam2vss_lib.study.results.text import DASH
from sam2vss_lib.study.run.doctor import examine, to_text
from sam2vss_lib.study.stages.evaluation import (
    count_predictions,
    sums_path,
    write_metrics,
)
from sam2vss_lib.study.stages.provenance import collect_provenance, package_versions
from sam2vss_lib.study.stages.study import Evaluated


@pytest.fixture
def dataset(tiny_vspw: Path) -> Dataset:
    return open_dataset(tiny_vspw, "val")


def perfect(dataset: Dataset, root: Path) -> PredictionFolder:
    folder = PredictionFolder(root, dataset.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            folder.write(clip, i, clip.ground_truth(i))
    return folder


def provenance_of(settings: dict[str, int]):
    return collect_provenance(
        settings=settings,
        data_sha256="d" * 64,
        checkpoints={"demo": "c" * 64},
        predictions={},
        device="cpu",
        seed=3,
    )


def test_metrics_file_has_the_contracts_fields_and_full_precision(dataset: Dataset, tmp_path: Path):
    suite = count_predictions(dataset, perfect(dataset, tmp_path / "p"))
    path = tmp_path / "metrics.json"
    written = write_metrics(path, suite, provenance_of({"a": 1}), samples=50)
    read = read_json(path)
    assert read == json.loads(json.dumps(written))
    assert list(read) == [
        "format_version", "protocol", "frames", "clips", "metrics", "variants", "per_class",
        "per_clip", "confidence_95", "notes", "provenance",
    ]  # fmt: skip
    assert read["metrics"]["mIoU"] == 100.0
    assert read["clips"] == 2
    assert read["provenance"]["seed"] == 3
    suite_again = MetricSuite.load(sums_path(path))
    assert suite_again.compute(samples=50, seed=3).to_dict()["metrics"] == read["metrics"]


def test_nothing_is_written_when_a_prediction_is_missing(dataset: Dataset, tmp_path: Path):
    folder = perfect(dataset, tmp_path / "p")
    folder.path(dataset.clips[1], 2).unlink()
    with pytest.raises(DataError, match=r"second.00000010\.png: no such prediction \(1 missing"):
        count_predictions(dataset, folder)


def test_progress_names_every_clip_once(dataset: Dataset, tmp_path: Path):
    seen: list[str] = []
    count_predictions(dataset, perfect(dataset, tmp_path / "p"), progress=seen.append)
    assert seen == ["first", "second"]


def test_provenance_depends_on_settings_and_names_versions():
    one, other = provenance_of({"a": 1}), provenance_of({"a": 2})
    assert one.settings_sha256 != other.settings_sha256
    assert one == provenance_of({"a": 1})
    assert one.versions["torch"].startswith("2.14.1")
    assert one.commit is None or len(one.commit) == 40
    assert "python" in one.versions
    assert package_versions()["sam2"] == "1.1.0"


def test_two_runs_write_the_same_bytes(dataset: Dataset, tmp_path: Path):
    folder = perfect(dataset, tmp_path / "p")
    shifted = PredictionFolder(tmp_path / "s", dataset.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            truth = clip.ground_truth(i)
            shifted.write(clip, i, np.roll(np.where(truth == 255, 0, truth), 3, axis=0))
    texts = []
    for _ in range(2):
        suite = count_predictions(dataset, shifted)
        write_metrics(tmp_path / "m.json", suite, provenance_of({}), samples=50)
        texts.append((tmp_path / "m.json").read_bytes())
    assert texts[0] == texts[1]
    worse = read_json(tmp_path / "m.json")["metrics"]["mIoU"]
    assert worse < count_predictions(dataset, folder).compute(samples=50).metrics["mIoU"]


def test_doctor_lines_say_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SAM2VSS_CHECKPOINTS", str(tmp_path))
    facts = examine()
    assert facts["checkpoints"]["sam2.1_hiera_large"] is False
    (tmp_path / "sam2.1_hiera_large.pt").touch()
    assert examine()["checkpoints"]["sam2.1_hiera_large"] is True
    text = to_text(facts)
    assert str(tmp_path) in text
    assert "MiB memory" in text


def test_a_table_leaves_a_missing_value_empty_and_says_why(dataset: Dataset, tmp_path: Path):
    for mask in dataset.root.glob("data/*/mask/*[!9].png"):
        mask.unlink()
    sparse = open_dataset(dataset.root, "val")
    folder = PredictionFolder(tmp_path / "p", sparse.num_classes)
    for clip in sparse:
        folder.write(clip, 1, clip.ground_truth(1))
    suite = count_predictions(sparse, folder)
    metrics = write_metrics(tmp_path / "metrics.json", suite, provenance_of({}), samples=50)
    run = Evaluated(folder, metrics, suite)
    row = table_row(1, "CFFM", "MiT-B1", "run on 2 clips", evaluated=run)
    assert row.status.startswith("run on 2 clips; no mVC8: windows of 8 frames need longer clips, ")
    (line,) = table_frame([row]).to_dict("records")
    assert line["mIoU"] == 100.0
    assert np.isnan(line["mVC8"])
    assert values_table([row])["mVC8", "ours"].tolist() == [DASH]
