"""Verification finds every faulty file and none in good data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sam2vss_lib.datasets import verify_dataset
from sam2vss_lib.datasets.verify import VerifyReport
from sam2vss_lib.errors import DataError, SettingsError


def test_good_data_has_no_faults(tiny_vspw: Path) -> None:
    report = verify_dataset(tiny_vspw, "val")
    assert report.ok
    assert (report.num_clips, report.num_frames, report.num_masks) == (2, 10, 10)
    assert report.num_classes == 3
    assert report.summary() == f"{tiny_vspw}, split val: 2 clips, 10 frames, 10 masks, 0 faults"
    assert verify_dataset(tiny_vspw, "val", clips=["second"], workers=1).num_frames == 5


def test_all_faults_are_listed_in_order(tiny_vspw: Path) -> None:
    (tiny_vspw / "val.txt").write_text("first\nfirst\n../x\nsecond\nthird\n")
    first, second = tiny_vspw / "data/first", tiny_vspw / "data/second"
    (first / "origin/00000008.jpg").write_bytes(b"")  # the frame that would give the size
    (first / "mask/00000009.png").unlink()
    Image.new("L", (32, 20)).save(first / "mask/00000010.png")
    Image.new("L", (32, 24), 9).save(first / "mask/00000011.png")
    Image.new("L", (32, 24)).save(first / "mask/5.png")
    whole = (second / "origin/00000012.jpg").read_bytes()
    (second / "origin/00000012.jpg").write_bytes(whole[:400])
    report = verify_dataset(tiny_vspw, "val")
    assert not report.ok
    found = [
        (str(Path(f.file).relative_to(tiny_vspw)), f.problem.split(" (")[0]) for f in report.faults
    ]
    assert found == [
        ("val.txt", "line 2: clip 'first' already stands on line 1"),
        ("val.txt", "line 3: '../x' is not a plain folder name"),
        (
            "data/first/mask/00000009.png",
            "no mask for frame 00000009.jpg, though other frames have one",
        ),
        ("data/first/mask/5.png", f"mask without a frame in {first}/origin"),
        ("data/first/origin/00000008.jpg", "empty file"),
        ("data/first/mask/00000010.png", "is 20x32"),
        ("data/first/mask/00000011.png", "mask value 9 is neither class"),
        ("data/second/origin/00000012.jpg", "not decodable as JPEG or PNG"),
        ("data/third", "no such clip folder"),
    ]
    assert all(fault.hint for fault in report.faults)
    assert len(report.summary().splitlines()) == 1 + len(found)
    assert VerifyReport.model_validate(json.loads(report.model_dump_json())) == report


def test_masks_without_a_usable_class_list_are_a_fault(tiny_vspw: Path) -> None:
    (tiny_vspw / "classes.json").unlink()
    report = verify_dataset(tiny_vspw, "val")
    assert [fault.hint for fault in report.faults] == [
        "add or mend the file, or pass --num-classes"
    ]
    assert verify_dataset(tiny_vspw, "val", num_classes=3).ok
    (tiny_vspw / "classes.json").write_text("{")
    report = verify_dataset(tiny_vspw, "val", num_classes=3)
    assert [Path(fault.file).name for fault in report.faults] == ["classes.json"]


def test_a_clip_without_masks_among_others_is_a_fault(tiny_vspw: Path) -> None:
    shutil.rmtree(tiny_vspw / "data/first/mask")
    (fault,) = verify_dataset(tiny_vspw, "val").faults
    assert fault.file == f"{tiny_vspw}/data/first/mask"
    assert fault.problem == "clip first has no masks, though other clips of the split have"


def test_frames_alone_need_no_class_list(tiny_vspw: Path) -> None:
    (tiny_vspw / "classes.json").unlink()
    for folder in tiny_vspw.glob("data/*/mask"):
        shutil.rmtree(folder)
    report = verify_dataset(tiny_vspw, "val")
    assert report.ok
    assert (report.num_frames, report.num_masks) == (10, 0)


def test_stray_labels_can_be_allowed(tiny_vspw: Path) -> None:
    Image.new("L", (32, 24), 252).save(tiny_vspw / "data/first/mask/00000008.png")
    assert not verify_dataset(tiny_vspw, "val").ok
    assert verify_dataset(tiny_vspw, "val", stray_labels="void").ok


def test_what_cannot_be_verified_at_all_is_an_error(tiny_vspw: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder; "):
        verify_dataset(tiny_vspw / "nowhere", "val")
    with pytest.raises(DataError, match=r"train.txt: no such split list"):
        verify_dataset(tiny_vspw, "train")
    with pytest.raises(SettingsError, match="workers is 0; it must be at least 1"):
        verify_dataset(tiny_vspw, "val", workers=0)
    with pytest.raises(SettingsError, match="'third' is not in split 'val'"):
        verify_dataset(tiny_vspw, "val", clips=["third"])


def test_real_data_has_no_faults(shared_data: Path) -> None:
    report = verify_dataset(shared_data / "camvid", "val")
    assert report.ok, report.summary()
    assert (report.num_clips, report.num_frames, report.num_masks) == (2, 72, 72)
