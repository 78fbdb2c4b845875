"""Verification finds every faulty file and none in good data."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sam2vss_lib.datasets import verify_dataset
from sam2vss_lib.datasets.checking.verify import VerifyReport
from sam2vss_lib.errors import DataError, SettingsError
from tests.formats import fake_clips, write_vipseg, write_vspw


def test_good_data_has_no_faults(tiny_vspw: Path) -> None:
    report = verify_dataset(tiny_vspw, "val")
    assert report.ok
    assert (report.num_clips, report.num_frames, report.num_masks) == (2, 10, 10)
    assert report.num_classes == 3
    assert report.summary() == f"{tiny_vspw}, split val: 2 clips, 10 frames, 10 masks, 0 faults"


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
        ("data/first/mask/5.png", f"mask without a frame in {first}/origin"),
        ("data/first/origin/00000008.jpg", "empty file"),
        ("data/first/mask/00000010.png", "is 20x32"),
        ("data/first/mask/00000011.png", "mask value 9 is neither class"),
        ("data/second/origin/00000012.jpg", "not decodable as JPEG, PNG, WEBP or BMP"),
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


def test_processes_find_the_same(tiny_vspw: Path) -> None:
    (tiny_vspw / "data/first/origin/00000008.jpg").write_bytes(b"")
    (tiny_vspw / "data/second/mask/00000009.png").write_bytes(b"")
    alone = verify_dataset(tiny_vspw, "val")
    assert len(alone.faults) == 2
    assert verify_dataset(tiny_vspw, "val", workers=2) == alone


def test_checksums_prove_that_nothing_changed(tiny_vspw: Path) -> None:
    assert verify_dataset(tiny_vspw, "val").checksums == "none"
    assert verify_dataset(tiny_vspw, "val", write_manifest=True).checksums == "written"
    listed = tiny_vspw / "val.sha256"
    lines = listed.read_text().splitlines()
    assert len(lines) == 20 + 2  # and val.txt and classes.json
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((tiny_vspw / name).read_bytes()).hexdigest() == digest
    report = verify_dataset(tiny_vspw, "val", workers=2)
    assert report.ok
    assert report.checksums == "compared"

    mask = tiny_vspw / "data/first/mask"
    Image.new("L", (32, 24), 2).save(mask / "00000008.png")  # valid, but another mask
    (mask / "00000009.png").unlink()
    (mask.parent / "origin/00000009.jpg").unlink()  # the pair: without checksums no fault
    shutil.copy(mask / "00000010.png", mask / "00000020.png")
    shutil.copy(mask.parent / "origin/00000010.jpg", mask.parent / "origin/00000020.jpg")
    (mask / "notes.md").write_text("added")
    (tiny_vspw / "classes.json").write_text('{"1": "sky", "2": "road", "3": "bus"}')
    report = verify_dataset(tiny_vspw, "val")
    found = [(Path(f.file).relative_to(tiny_vspw).as_posix(), f.problem[:9]) for f in report.faults]
    assert found == [
        ("data/first/mask/notes.md", "is no ima"),
        ("classes.json", "has chang"),
        ("data/first/mask/00000008.png", "has chang"),
        ("data/first/mask/00000009.png", "is listed"),
        ("data/first/mask/00000020.png", "was added"),
        ("data/first/origin/00000009.jpg", "is listed"),
        ("data/first/origin/00000020.jpg", "was added"),
    ]
    (mask / "notes.md").unlink()
    assert verify_dataset(tiny_vspw, "val", write_manifest=True).ok
    assert verify_dataset(tiny_vspw, "val").ok


def test_checksums_are_not_written_for_faulty_data(tiny_vspw: Path) -> None:
    verify_dataset(tiny_vspw, "val", write_manifest=True)
    before = (tiny_vspw / "val.sha256").read_bytes()
    (tiny_vspw / "data/first/mask/00000008.png").write_bytes(b"")
    report = verify_dataset(tiny_vspw, "val", write_manifest=True)
    assert not report.ok
    assert report.checksums == "none"
    assert (tiny_vspw / "val.sha256").read_bytes() == before
    # a file is listed once, with what is worst about it
    (fault,) = verify_dataset(tiny_vspw, "val").faults
    assert fault.problem == "empty file (0 bytes)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "lists no file"),
        ("abc  data/x\n", "line 1 is not"),
        (f"{'0' * 64}  a\n{'1' * 64}  a\n", "line 2: a has two checksums"),
        ("\udcff", "not readable as text"),
    ],
)
def test_a_broken_list_of_checksums_is_an_error(tiny_vspw: Path, text: str, problem: str) -> None:
    (tiny_vspw / "val.sha256").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=f"val.sha256: {problem}"):
        verify_dataset(tiny_vspw, "val")


def test_vipseg_checksums_include_the_list_above(tmp_path: Path) -> None:
    root = write_vipseg(tmp_path / "VIPSeg_720P", fake_clips(2), images="images")
    (root / "val.txt").rename(tmp_path / "val.txt")
    assert verify_dataset(root, "val", write_manifest=True).checksums == "written"
    assert verify_dataset(root, "val").ok
    (tmp_path / "val.txt").write_text((tmp_path / "val.txt").read_text() + "\n")
    (fault,) = verify_dataset(root, "val").faults
    assert fault.problem.startswith("has changed")


def test_what_was_published_can_be_expected(tmp_path: Path) -> None:
    root = write_vspw(tmp_path / "vspw", fake_clips(2))
    assert verify_dataset(root, "val").ok
    problems = [fault.problem for fault in verify_dataset(root, "val", expect="vspw").faults]
    lacks, frames = problems
    assert lacks.startswith("lacks 341 clips of the official list, such as ")
    assert frames == "8 frames, but 24502 were published"
    (root / "data/extra").symlink_to(root / "data" / fake_clips(1)[0].name)
    (root / "val.txt").write_text("extra")
    (root / "label_num_dic_final.json").write_text('{"1": "wall"}')
    report = verify_dataset(root, "val", expect="vspw", stray_labels="void")
    assert [fault.problem[:26] for fault in report.faults] == [
        "lacks 343 clips of the off",
        "names 1 clips that are not",
        "its class list is not the ",
        "4 frames, but 24502 were p",
    ]
    with pytest.raises(SettingsError, match="unknown data set 'vsp'; known are: vspw, vipseg"):
        verify_dataset(root, "val", expect="vsp")


def test_public_masks_are_expected(tmp_path: Path) -> None:
    root = write_vspw(tmp_path / "vspw", fake_clips(1))
    shutil.rmtree(next(root.glob("data/*/mask")))
    report = verify_dataset(root, "val", expect="vspw")
    assert report.faults[-1].problem == "no masks, though the masks of this split are public"


def test_what_cannot_be_verified_at_all_is_an_error(tiny_vspw: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder; "):
        verify_dataset(tiny_vspw / "nowhere", "val")
    with pytest.raises(DataError, match=r"train.txt: no such split list"):
        verify_dataset(tiny_vspw, "train")
    with pytest.raises(SettingsError, match="workers is 0; it must be at least 1"):
        verify_dataset(tiny_vspw, "val", workers=0)


def test_real_data_has_no_faults(shared_data: Path) -> None:
    report = verify_dataset(shared_data / "camvid", "val")
    assert report.ok, report.summary()
    assert (report.num_clips, report.num_frames, report.num_masks) == (2, 72, 72)
