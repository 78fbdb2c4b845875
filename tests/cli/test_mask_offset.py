"""Masks of 0..C-1 where 0 is a class: settings that say so, and warnings where nothing does."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2vss_lib.datasets import open_dataset, open_frames, verify_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.places import manifest_path
from tests.conftest import TINY_CLASSES
from tests.test_cli import call, refused


@pytest.fixture
def from_zero(tiny_vspw: Path) -> Path:
    """The tiny data set with masks of 0..2 and 255; its class list still starts at 1."""
    for path in tiny_vspw.glob("data/*/mask/*.png"):
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask == 0, 255, mask - (mask != 255)).astype(np.uint8)).save(path)
    return tiny_vspw


@pytest.fixture
def predictions(from_zero: Path, tmp_path: Path) -> Path:
    """The masks themselves."""
    for path in from_zero.glob("data/*/mask/*.png"):
        out = tmp_path / "perfect" / path.parent.parent.name / path.name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(path.read_bytes())
    return tmp_path / "perfect"


def number_from(root: Path, first: int) -> None:
    classes = {str(k): name for k, name in enumerate(TINY_CLASSES, start=first)}
    (root / "classes.json").write_text(json.dumps(classes))


def test_class_list_from_zero(from_zero: Path, predictions: Path, tmp_path: Path) -> None:
    number_from(from_zero, 0)
    out = tmp_path / "m.json"
    done = call("evaluate", "--dataset", from_zero, "--predictions", predictions, "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["metrics"]["mIoU"] == 100.0
    assert done.stderr == ""
    report = verify_dataset(from_zero, "val")
    assert (report.ok, report.notes) == (True, ())
    dataset = open_dataset(from_zero, "val")
    assert (dataset.class_names, dataset.mask_offset) == (TINY_CLASSES, 0)
    assert set(np.unique(dataset.clips[0].ground_truth(0))) == {0, 1, 2, 255}


def test_offset_on_the_command_line(from_zero: Path, predictions: Path, tmp_path: Path) -> None:
    (from_zero / "classes.json").unlink()
    out = tmp_path / "m.json"
    options = ("--num-classes", "3", "--mask-offset", "0")
    arguments = ("--dataset", from_zero, "--predictions", predictions, "--out", out)
    done = call("evaluate", *arguments, *options)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["metrics"]["mIoU"] == 100.0
    verified = call("data", "verify", from_zero, *options)
    assert (verified.exit_code, "warning" in verified.output) == (0, False)
    refused(call("evaluate", *arguments, "--num-classes", "3", "--mask-offset", "2"), 2, "offset")


def test_contradictions_are_refused(from_zero: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"mask_offset is 0 but the class list in .* starts at 1"
    ):
        open_dataset(from_zero, "val", mask_offset=0)
    number_from(from_zero, 0)
    with pytest.raises(
        SettingsError, match=r"mask_offset is 1 but the class list in .* starts at 0"
    ):
        verify_dataset(from_zero, "val", mask_offset=1)


def test_without_a_setting_both_commands_warn(
    from_zero: Path, predictions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.json"
    done = call("evaluate", "--dataset", from_zero, "--predictions", predictions, "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["metrics"]["mIoU"] == 0.0
    (warning,) = done.stderr.splitlines()
    assert warning.startswith(f"warning: {predictions}: 0% of the pixels agree with ground truth,")
    assert "but 100% if it is shifted by one" in warning
    assert "classes from 0, do so in classes.json" in warning
    assert "--label-offset 1" in warning
    report = verify_dataset(from_zero, "val")
    assert report.ok
    (note,) = report.notes
    assert report.summary().splitlines()[-1] == f"note: {note}"
    assert note.startswith("warning: no mask holds class 3, and 100% of them hold 0, which is read")


def test_part_of_vspw_lacks_classes_without_a_warning(tiny_vspw: Path) -> None:
    """Its masks hold void 0 nearly everywhere, and its last class is rare."""
    for path in tiny_vspw.glob("data/*/mask/*.png"):
        mask = np.array(Image.open(path))
        mask[0, 0] = 0
        Image.fromarray(mask).save(path)
    (tiny_vspw / "classes.json").write_bytes(manifest_path("vspw_classes.json").read_bytes())
    assert verify_dataset(tiny_vspw, "val").notes == ()
    (tiny_vspw / "classes.json").unlink()
    (note,) = verify_dataset(tiny_vspw, "val", num_classes=124).notes
    assert note.startswith("warning: no mask holds class 124")


def test_a_folder_of_frames_with_masks_from_zero(from_zero: Path) -> None:
    folder = from_zero / "data/first"
    (folder / "mask").rename(folder / "origin/mask")
    (clip,) = open_frames(folder / "origin", num_classes=3, mask_offset=0)
    assert set(np.unique(clip.ground_truth(0))) == {0, 1, 2, 255}
    with pytest.raises(SettingsError, match="mask_offset is 2; it must be 0 or 1"):
        open_frames(folder / "origin", num_classes=3, mask_offset=2)


def test_the_other_way_round(tiny_vspw: Path, perfect_predictions: Path, tmp_path: Path) -> None:
    """Masks of 1..C read as 0..C-1: refused where C occurs, else evaluate warns."""
    number_from(tiny_vspw, 0)
    with pytest.raises(DataError, match=r"value 3 is neither class \(0..2\) nor void \(255\);"):
        open_dataset(tiny_vspw, "val").clips[0].ground_truth(0)
    for path in tiny_vspw.glob("data/*/mask/*.png"):
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask == 3, 2, mask)).save(path)
    arguments = ("--dataset", tiny_vspw, "--predictions", perfect_predictions)
    out = ("--out", tmp_path / "m.json", "--label-offset", "1")
    warning = call("evaluate", *arguments, *out).stderr
    assert "classes from 1, do so in classes.json" in warning
    assert "if predictions number them from 0, --label-offset 0" in warning


def test_right_predictions_and_weak_ones_give_no_warning(
    tiny_vspw: Path, perfect_predictions: Path, tmp_path: Path
) -> None:
    arguments = ("--dataset", tiny_vspw, "--predictions", perfect_predictions)
    out = ("--out", tmp_path / "m.json", "--label-offset", "1")
    assert call("evaluate", *arguments, *out).stderr == ""
    rng = np.random.default_rng(0)
    for path in perfect_predictions.glob("*/*.png"):
        Image.fromarray(rng.integers(1, 4, (24, 32)).astype(np.uint8)).save(path)
    assert call("evaluate", *arguments, *out).stderr == ""


def test_the_offset_is_part_of_the_content(from_zero: Path) -> None:
    before = open_dataset(from_zero, "val").content_sha256()
    number_from(from_zero, 0)
    assert open_dataset(from_zero, "val").content_sha256() != before
