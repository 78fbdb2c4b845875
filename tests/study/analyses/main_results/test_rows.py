"""Base systems in other formats than ours: converted once, with reasons where they are missing."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.predictions.importers.formats import FORMATS
from sam2vss_lib.study.analyses.main_results.rows import refinement_rows
from sam2vss_lib.study.settings import make_settings
from sam2vss_lib.study.stages import Study
from tests.formats import (
    FakeClip,
    degraded,
    fake_clips,
    write_dvis,
    write_index,
    write_mmseg,
    write_vipseg,
    write_vipseg_images,
)

WRITERS: dict[str, Any] = {
    "index": write_index,
    "panoptic-json": write_dvis,
    "vipseg": write_vipseg_images,
    "mmseg-pkl": write_mmseg,
}


@pytest.fixture(scope="module")
def clips() -> list[FakeClip]:
    return fake_clips(2, num_frames=2)


@pytest.fixture
def root(tmp_path: Path, clips: list[FakeClip]) -> Path:
    return write_vipseg(tmp_path / "vipseg", clips)


def predicted(clips: list[FakeClip]) -> list[FakeClip]:
    return degraded(clips)


def a_study(root: Path, systems: list[dict[str, Any]], **more: Any) -> Study:
    settings = {
        "profile": "vipseg", "dataset": str(root), "device": "cpu", "base_systems": systems,
        "out_dir": str(root.parent / "out"), "stages_dir": str(root.parent / "stages"), **more,
    }  # fmt: skip
    return Study(make_settings(settings))


def a_system(path: Path, format_name: str) -> dict[str, Any]:
    return {"method": "X", "backbone": "b", "predictions": str(path), "format": format_name}


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_gives_the_same_labels_and_is_converted_once(
    root: Path, clips: list[FakeClip], format_name: str
):
    path = WRITERS[format_name](root.parent / "theirs", predicted(clips))
    study = a_study(root, [a_system(path, format_name)])
    (system,) = study.settings.base_systems
    assert study.why_not(system) is None
    base = study.base(system)
    for clip, expected in zip(study.dataset, predicted(clips), strict=True):
        read = [base.folder.read(clip, i) for i in range(clip.num_frames)]
        assert np.array_equal(read, expected.labels)
    assert list(base.predictions_sha256) == ["X b"]
    again = a_study(root, [a_system(path, format_name)])
    assert again.base(system).key == base.key
    stages = [(run.stage, run.reused) for run in again.log]
    assert stages == ([] if format_name == "index" else [("convert", 2)])


def test_first_clips_of_results_without_names_are_those_of_the_whole_split(
    root: Path, clips: list[FakeClip]
):
    path = write_mmseg(root.parent / "results.pkl", predicted(clips))
    study = a_study(root, [a_system(path, "mmseg-pkl")], max_clips=1)
    (system,) = study.settings.base_systems
    base = study.base(system)
    assert len(study.dataset) == 1
    assert np.array_equal(
        base.folder.read(study.dataset.clips[0], 1), predicted(clips)[0].labels[1]
    )


def test_changed_predictions_are_converted_anew(root: Path, clips: list[FakeClip]):
    path = write_dvis(root.parent / "theirs", predicted(clips))
    study = a_study(root, [a_system(path, "panoptic-json")])
    (system,) = study.settings.base_systems
    before = study.base(system)
    shutil.rmtree(path)
    write_dvis(path, degraded(clips, seed=5))
    after = a_study(root, [a_system(path, "panoptic-json")]).base(system)
    assert after.key != before.key
    assert after.predictions_sha256 != before.predictions_sha256


def incomplete(path: Path, format_name: str, clips: list[FakeClip]) -> None:
    """Take the second clip away, as if the other system had stopped before it."""
    match format_name:
        case "mmseg-pkl":
            write_mmseg(path, predicted(clips)[:1])
        case "panoptic-json":
            index = path / "pred.json"
            content = json.loads(index.read_text())
            index.write_text(json.dumps({"annotations": content["annotations"][:1]}))
        case _:
            shutil.rmtree(path / clips[1].name)


@pytest.mark.parametrize("format_name", FORMATS)
def test_missing_and_incomplete_predictions_are_reasons(
    root: Path, clips: list[FakeClip], format_name: str
):
    path = root.parent / "theirs"
    study = a_study(root, [a_system(path, format_name)])
    (system,) = study.settings.base_systems
    assert study.why_not(system) == f"no predictions at {path}"
    WRITERS[format_name](path, predicted(clips))
    incomplete(path, format_name, clips)
    reason = a_study(root, [a_system(path, format_name)]).why_not(system)
    assert reason == f"predictions at {path} are incomplete: 1 clips, such as {clips[1].name}"


def test_panoptic_images_without_their_list_are_incomplete(root: Path, clips: list[FakeClip]):
    path = write_dvis(root.parent / "theirs", predicted(clips))
    (path / "pred.json").unlink()
    study = a_study(root, [a_system(path, "panoptic-json")])
    reason = study.why_not(study.settings.base_systems[0])
    assert reason is not None
    assert "are incomplete: 2 clips" in reason


@pytest.mark.parametrize(
    ("format_name", "file", "words"),
    [
        ("panoptic-json", "pred.json", "pred.json: .*annotations"),
        ("panoptic-json", "pan_pred/{clip}/{frame}.png", "{frame}.png: "),
        ("vipseg", "{clip}/{frame}.png", "{frame}.png: "),
        ("mmseg-pkl", "", "no pickle of arrays"),
    ],
)
def test_damaged_predictions_are_an_error_that_names_the_file(
    root: Path, clips: list[FakeClip], format_name: str, file: str, words: str
):
    path = WRITERS[format_name](root.parent / "theirs", predicted(clips))
    names = {"clip": clips[0].name, "frame": clips[0].frames[0]}
    (path / file.format(**names)).write_bytes(b"cut short")
    study = a_study(root, [a_system(path, format_name)])
    with pytest.raises(DataError, match=words.format(**names)) as caught:
        refinement_rows(study, 2)
    assert "\n" not in str(caught.value)


def test_rows_of_table_2_are_matched_with_the_printed_ones_when_not_run(root: Path, tmp_path: Path):
    systems = [{"method": "CAVIS", "backbone": "R50", "predictions": str(tmp_path / "nowhere")}]
    rows = refinement_rows(a_study(root, systems), 2)
    named = [(row.method, row.backbone) for row in rows]
    assert named[:2] == [("CAVIS", "R50"), ("SAM2-CAVIS", "R50")]
    assert ("SAM2-CAVIS", "") not in named  # the printed row is there already
    assert rows[1].paper["mBIoU"] == 56.8
    assert rows[1].paper_gains["mBIoU"] == 1.5
    assert len(rows) == 8
    assert all(row.status.startswith("not run: ") for row in rows)


def test_unknown_formats_are_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"X b: format 'coco'; known are index, panoptic-json"):
        a_study(tmp_path, [a_system(tmp_path, "coco")])
