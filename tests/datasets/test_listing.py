"""What is in a folder of images: every entry is used, known junk or a fault, in one order."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset, verify_dataset
from sam2vss_lib.datasets.converting.conversion import convert_dataset
from sam2vss_lib.datasets.converting.video import convert_video
from sam2vss_lib.datasets.listing import (
    FRAME_SUFFIXES,
    MASK_SUFFIXES,
    is_junk,
    list_frames,
    list_images,
    say_uneven_steps,
    uneven_steps,
)
from sam2vss_lib.errors import DataError

ORIGIN, MASK = Path("data/first/origin"), Path("data/first/mask")


def folder_of(folder: Path, *names: str) -> Path:
    """A folder of empty files."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


USED, JUNK, UNKNOWN = "used", "junk", "unknown"
ENTRIES = {
    **dict.fromkeys(["1.jpg", "1.JPG", "1.Jpg", "1.jPg", "1.jpeg", "a.b.PNG", "é 1.WebP"], USED),
    **dict.fromkeys(["1.bmp", "1.BMP", "1.png"], USED),
    **dict.fromkeys([".DS_Store", "._1.jpg", ".1.jpg", ".tmp-0a-1.png", ".locks"], JUNK),
    **dict.fromkeys(["Thumbs.db", "thumbs.DB", "desktop.ini", "__MACOSX", "@eaDir"], JUNK),
    **dict.fromkeys(["1", "1.gif", "1.tif", "1.jpg.part", "notes.txt", "jpg", "1.npz"], UNKNOWN),
    **dict.fromkeys(["1.jpg~", "made_from.json", "_1", "small"], UNKNOWN),
}


@pytest.mark.parametrize(("name", "kind"), ENTRIES.items(), ids=ENTRIES)
def test_every_entry_is_used_or_junk_or_a_fault(tmp_path: Path, name: str, kind: str) -> None:
    found = list_images(folder_of(tmp_path, name), FRAME_SUFFIXES)
    assert list(found.files.values()) == ([name] if kind == USED else [])
    assert is_junk(name) == (kind == JUNK)
    assert [fault.file for fault in found.faults] == (
        [str(tmp_path / name)] if kind == UNKNOWN else []
    )


def test_only_lossless_formats_hold_labels_and_other_files_may_be_allowed(tmp_path: Path) -> None:
    folder_of(tmp_path, "1.PNG", "2.bmp", "3.jpg", "1.npz", "made_from.json")
    found = list_images(tmp_path, MASK_SUFFIXES, (".npz", ".json"))
    assert found.files == {"1": "1.PNG", "2": "2.bmp"}
    assert [str(fault) for fault in found.faults] == [
        f"{tmp_path}/3.jpg: is no image that is read here; "
        "move it away or convert it; read are .png, .bmp"
    ]
    assert list_images(tmp_path / "none", MASK_SUFFIXES).files == {}


ORDERS = {
    "plain": ["1", "2", "9", "10", "11", "100"],
    "text before": ["frame_1", "frame_2", "frame_10", "frame_12"],
    "past the padding": ["f9998", "f9999", "f10000"],
    "text around": ["a1-left", "a2-left", "a10-left"],
    "several numbers": ["s1_f9", "s1_f10", "s2_f1", "s10_f1"],
    "text in capitals": ["Frame_1", "frame_2", "FRAME_10"],
    "padded unevenly": ["09", "010", "0011"],
    "pure text": ["A", "a b", "b", "c"],
    "fractions of one length": ["1.05", "1.25", "2.00", "10.00"],
    "more digits than an integer": [f"x{'9' * 30}", f"x1{'0' * 30}"],
    "Cityscapes": ["ulm_000000_000019_leftImg8bit", "ulm_000001_000019_leftImg8bit"],
}


@pytest.mark.parametrize("stems", ORDERS.values(), ids=ORDERS)
def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path, stems: list[str]) -> None:
    found = list_frames(folder_of(tmp_path, *(f"{stem}.jpg" for stem in stems)))
    assert (list(found.files), found.faults) == (stems, [])


@given(
    numbers=st.sets(st.integers(0, 10**6), min_size=1),
    digits=st.integers(0, 9),
    around=st.tuples(*[st.text("abz_- é", max_size=4)] * 2),
    data=st.data(),
)
def test_any_padding_and_any_file_system_gives_the_order_of_numbers(
    numbers: set[int], digits: int, around: tuple[str, str], data: st.DataObject
) -> None:
    before, after = around
    expected = [f"{before}{n:0{digits}d}{after}.png" for n in sorted(numbers)]
    shuffled = data.draw(st.permutations(expected))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda _: shuffled)
        found = list_frames(Path(folder))
    assert (list(found.files.values()), found.faults) == (expected, [])


AMBIGUOUS = {
    "another format": (["1.jpg", "1.png", "2.jpg"], "1.png: same frame as 1.jpg; keep one of"),
    "another case": (["f1.jpg", "F1.JPG"], "f1.jpg: same frame as F1.JPG; keep one of"),
    "one number twice": (["1.jpg", "01.jpg", "2.jpg"], "1.jpg: same number as 01.jpg; rename one"),
    "a cover": (
        ["cover.jpg", *(f"{n}.jpg" for n in range(1, 12))],
        "cover.jpg: its .* 1.jpg; move",
    ),
    "two series": (
        ["a1.jpg", "a2.jpg", "b1.jpg"],
        "b1.jpg: its .* beside a1.jpg",
    ),
    "a copy": (["1.jpg", "2.jpg", "2 (1).jpg"], "2 .1..jpg: its .* beside 1.jpg"),
    "fractions": (["1.5.jpg", "1.25.jpg"], "1.5.jpg: its .* beside 1.25.jpg"),
    "below zero": (["-1.jpg", "0.jpg", "1.jpg"], "-1.jpg: its .* beside 0.jpg"),
}


@pytest.mark.parametrize(("names", "message"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_ambiguous_order_names_two_files(tmp_path: Path, names: list[str], message: str) -> None:
    found = list_frames(folder_of(tmp_path, *names))
    assert len(found.faults) == 1
    with pytest.raises(DataError, match=f"^{tmp_path}/{message}"):
        found.checked()


def test_uneven_steps_are_found_and_said() -> None:
    assert uneven_steps(["f1", "f2", "f5", "f6", "f7", "f9"]) == [("f2", "f5"), ("f7", "f9")]
    assert say_uneven_steps(["1", "2", "5", "6", "8"]) == (
        "frames are not numbered evenly: 5 comes after 2 (and 1 more gaps)"
    )
    for even in ([], ["1"], ["3", "9"], ["0", "4", "8"], ["s1_1", "s1_2"], ["a", "b"]):
        assert uneven_steps(even) == []
    assert uneven_steps(["s1_1", "s1_2", "s2_1"]) == []  # which number counts?


def renamed(root: Path, form: str) -> Path:
    """A copy of a root whose clip's frames 1, 2, ... have other names."""
    copy = Path(shutil.copytree(root, root.with_name(form.format(0))))
    for path in (*copy.rglob("*.jpg"), *copy.rglob("0*.png")):
        path.rename(path.with_name(form.format(int(path.stem)) + path.suffix))
    return copy


def test_clips_of_unpadded_names_have_the_metrics_of_padded_ones(tmp_path: Path) -> None:
    """12 frames: text order would put 10, 11 and 12 after 1, where windows then tear apart."""
    root = tmp_path / "padded"
    rng = np.random.default_rng(5)
    truth = np.repeat(rng.integers(1, 4, (12, 6, 2), np.uint8), 4, axis=2)
    truth[:, :2] = 1
    truth[:, 2:4] = np.array([1] * 9 + [2] * 3)[:, None, None]  # constant in two windows of four
    predicted = truth.copy()
    predicted[0, :2, 4:] = 3
    for t in range(12):
        for folder in (root / ORIGIN, root / MASK, root / "predictions/first"):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(truth[t]).convert("RGB").save(root / ORIGIN / f"{t + 1:08d}.jpg")
        Image.fromarray(truth[t]).save(root / MASK / f"{t + 1:08d}.png")
        Image.fromarray(predicted[t]).save(root / "predictions/first" / f"{t + 1:08d}.png")
    (root / "val.txt").write_text("first\n")
    (root / "classes.json").write_text(json.dumps({"1": "a", "2": "b", "3": "c"}))

    def metrics(of: Path) -> dict[str, float]:
        options = ["--dataset", of, "--predictions", of / "predictions", "--label-offset", "1"]
        command = ["evaluate", *options, "--out", of / "metrics.json", "--json"]
        done = CliRunner().invoke(app, list(map(str, command)))
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["metrics"]

    expected = metrics(root)
    assert 0 < expected["mVC8"] < 100
    for form in ("{}", "frame_{}", "f{:02d}_x", "Shot 7, {}"):
        assert metrics(renamed(root, form)) == expected
    # the orders differ: frames shuffled on purpose have another value
    order = sorted(range(1, 13), key=str)
    shuffled = Path(shutil.copytree(root, tmp_path / "shuffled"))
    for folder in (ORIGIN, MASK, Path("predictions/first")):
        for new, old in enumerate(order, start=1):
            (file,) = (root / folder).glob(f"{old:08d}.*")
            shutil.copy(file, shuffled / folder / f"{new:08d}{file.suffix}")
    assert metrics(shuffled)["mVC8"] != expected["mVC8"]


def test_every_command_refuses_an_ambiguous_order(tiny_vspw: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_vspw / ORIGIN / "00000008.jpg", tiny_vspw / ORIGIN / "cover.jpg")
    message = r"origin/cover.jpg: its numbers say no order beside 00000008.jpg; move it away"
    with pytest.raises(DataError, match=message):
        open_dataset(tiny_vspw, "val")
    assert [Path(f.file).name for f in verify_dataset(tiny_vspw, "val").faults] == ["cover.jpg"]
    with pytest.raises(DataError, match=message):
        convert_dataset("vspw-480p", tiny_vspw, tmp_path / "new", height_px=12)
    with pytest.raises(DataError, match=message):
        convert_video(tiny_vspw / ORIGIN, tmp_path / "other")


@pytest.mark.parametrize("name", ["00000008.tif", "small", "notes.txt"])
def test_what_is_unknown_is_a_fault_of_frames_and_of_masks(tiny_vspw: Path, name: str) -> None:
    for folder in (ORIGIN, MASK):
        (tiny_vspw / folder / name).touch()
    faults = verify_dataset(tiny_vspw, "val").faults
    assert [fault.file for fault in faults] == [str(tiny_vspw / f / name) for f in (ORIGIN, MASK)]
    with pytest.raises(DataError, match=f"origin/{name}: is no image that is read here; "):
        open_dataset(tiny_vspw, "val")


def other_formats(root: Path) -> None:
    """Frames .jpg .JPG .Jpg .jpeg .webp, masks .png .PNG .bmp, in one clip."""
    suffixes = (".jpg", ".JPG", ".Jpg", ".jpeg", ".webp")
    for path, suffix in zip(sorted((root / ORIGIN).iterdir()), suffixes, strict=True):
        image = Image.open(path)
        path.unlink()
        image.save(path.with_suffix(suffix), quality=95)
    for path, suffix in zip(sorted((root / MASK).iterdir()), (".PNG", ".bmp") * 3, strict=False):
        image = Image.open(path)
        path.unlink()
        image.save(path.with_suffix(suffix))


def test_all_formats_and_capitals_are_read_verified_and_converted(
    tiny_vspw: Path, tmp_path: Path
) -> None:
    before = open_dataset(tiny_vspw, "val").clip("first")
    truths = [before.ground_truth(i) for i in range(5)]
    other_formats(tiny_vspw)
    report = verify_dataset(tiny_vspw, "val", write_manifest=True)
    assert (report.num_frames, report.num_masks, report.faults) == (10, 10, ())
    assert len((tiny_vspw / "val.sha256").read_text().splitlines()) == 20 + 2
    convert_dataset("vspw-480p", tiny_vspw, tmp_path / "new", height_px=48)
    for root, scale in ((tiny_vspw, 1), (tmp_path / "new", 2)):
        clip = open_dataset(root, "val").clip("first")
        assert clip.frames == before.frames
        for i, truth in enumerate(truths):
            assert clip.frame(i).shape == (24 * scale, 32 * scale, 3)
            np.testing.assert_array_equal(
                clip.ground_truth(i), truth.repeat(scale, 0).repeat(scale, 1)
            )
    assert verify_dataset(tmp_path / "new", "val").ok
    convert_video(tiny_vspw / ORIGIN, tmp_path / "video")
    assert open_dataset(tmp_path / "video", "val").clips[0].num_frames == 5


def test_gaps_are_notes_of_verification(tiny_vspw: Path) -> None:
    for path in (ORIGIN / "00000010.jpg", MASK / "00000010.png"):
        (tiny_vspw / path).unlink()
    report = verify_dataset(tiny_vspw, "val")
    note = "clip first: frames are not numbered evenly: 00000011 comes after 00000009"
    assert (report.ok, report.notes) == (True, (note,))
    assert report.summary().splitlines()[1:] == [f"note: {note}"]


def turn(path: Path, orientation: int) -> None:
    """Write an EXIF orientation into a frame."""
    image, exif = Image.open(path), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif, quality=95)


@pytest.mark.parametrize("orientation", [3, 6])
def test_turned_frames_of_a_clip_with_masks_are_refused(
    tiny_vspw: Path, tmp_path: Path, orientation: int
) -> None:
    frame = tiny_vspw / ORIGIN / "00000010.jpg"
    turn(frame, orientation)
    message = (
        f"{frame}: EXIF orientation {orientation}, though the clip has masks; if the masks fit"
    )
    with pytest.raises(DataError, match=message):
        open_dataset(tiny_vspw, "val").clip("first").frame(2)
    (fault,) = verify_dataset(tiny_vspw, "val").faults
    assert str(fault.problem) in message
    with pytest.raises(DataError, match=message):
        convert_dataset("vspw-480p", tiny_vspw, tmp_path / "new", height_px=48)


def test_turned_frames_of_a_clip_without_masks_are_upright_everywhere(
    tiny_vspw: Path, tmp_path: Path
) -> None:
    shutil.rmtree(tiny_vspw / MASK)
    expected = np.rot90(open_dataset(tiny_vspw, "val").clip("first").frame(2), -1)
    for path in (tiny_vspw / ORIGIN).iterdir():
        turn(path, 6)
    convert_dataset("vspw-480p", tiny_vspw, tmp_path / "new", height_px=32)
    for root in (tiny_vspw, tmp_path / "new"):
        clip = open_dataset(root, "val").clip("first")
        assert clip.size == (32, 24)
        assert np.abs(clip.frame(2) - expected.astype(float)).mean() < 8
        problems = [fault.problem for fault in verify_dataset(root, "val").faults]
        assert problems == ["clip first has no masks, though other clips of the split have"]
    with Image.open(clip.frame_path(2)) as made:
        assert not made.getexif()
