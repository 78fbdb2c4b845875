"""Opening data sets in VSPW layout: good ones, real ones, and every way to be a bad one."""

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam2vss_lib.datasets import GENERATED, Dataset, open_dataset, open_frames
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.layout import is_plain_name
from sam2vss_lib.datasets.splits import read_split
from sam2vss_lib.errors import DataError, SettingsError

FIRST = Path("data/first")
FRAME, MASK = FIRST / "origin/00000009.jpg", FIRST / "mask/00000009.png"


def read_all(dataset: Dataset) -> None:
    """Read every frame and mask."""
    for clip in dataset:
        for i in range(clip.num_frames):
            clip.frame(i)
            clip.ground_truth(i)


def test_clips_frames_and_ground_truth(tiny_vspw: Path) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    assert [clip.name for clip in dataset] == ["first", "second"]
    assert (len(dataset), dataset.num_classes) == (2, 3)
    assert dataset.class_names == ("sky", "road", "car")
    clip = dataset.clip("second")
    assert clip.frames == tuple(f"{n:08d}" for n in range(8, 13))
    assert (clip.num_frames, clip.size, clip.has_ground_truth) == (5, (24, 32), True)
    assert clip.frame(1).shape == (24, 32, 3)
    truth = clip.ground_truth(1)
    assert [truth[0, 5], truth[11, 5], truth[14, 8], truth[-1, 5], truth[5, 0]] == [
        0, 1, 2, 255, 255
    ]  # fmt: skip
    assert clip.frame_path(1) == tiny_vspw / "data/second/origin/00000009.jpg"
    assert clip.mask_path(1) == tiny_vspw / "data/second/mask/00000009.png"
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def test_a_folder_of_frames_is_a_clip_of_its_name(
    tiny_vspw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my {clip}"
    shutil.copytree(tiny_vspw / "data/first/origin", folder)
    (clip,) = open_frames(folder)
    known = open_dataset(tiny_vspw, "val").clip("first")
    assert (clip.name, clip.frames, clip.has_ground_truth) == ("my {clip}", known.frames, False)
    assert np.array_equal(clip.frame(4), known.frame(4))
    shutil.copytree(tiny_vspw / "data/first/mask", folder / "mask")
    monkeypatch.chdir(folder)
    (clip,) = open_frames(".", num_classes=3)
    assert np.array_equal(clip.ground_truth(4), known.ground_truth(4))


def test_other_folders_are_no_clip(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no frames"):
        open_frames(tmp_path / "empty")
    with pytest.raises(DataError, match=r"gone: no such folder; give a folder of"):
        open_frames(tmp_path / "gone")
    with pytest.raises(SettingsError, match="no plain name"):
        open_frames("/")
    with pytest.raises(SettingsError, match="num_classes is 0"):
        open_frames(tmp_path / "empty", num_classes=0)


def test_clips_can_be_chosen(tiny_vspw: Path) -> None:
    shutil.rmtree(tiny_vspw / "data/first")  # not looked at
    dataset = open_dataset(str(tiny_vspw), "val", clips=["second"])
    assert [clip.name for clip in dataset] == ["second"]
    with pytest.raises(SettingsError, match=r"'third' is not in .*val.txt; name clips of that"):
        open_dataset(tiny_vspw, "val", clips=["third"])
    with pytest.raises(SettingsError, match="'first' is not in split 'val'"):
        dataset.clip("first")


def test_the_first_clips_can_be_taken(tiny_vspw: Path) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    assert [clip.name for clip in dataset.take(1)] == ["first"]
    assert dataset.take(None) == dataset.take(7) == dataset
    with pytest.raises(SettingsError, match="max_clips is 0; it must be at least 1"):
        dataset.take(0)


@pytest.mark.parametrize("name", GENERATED)
def test_names_stand_for_generated_data_sets(
    tiny_vspw: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    roots = {(name, "val"): tiny_vspw}
    monkeypatch.setattr("sam2vss_lib.datasets.demo.demo_root", lambda *asked: roots[asked])
    assert open_dataset(name, "val") == open_dataset(tiny_vspw, "val")


def test_opening_reads_no_image(tiny_vspw: Path) -> None:
    for path in tiny_vspw.glob("data/*/*/*"):
        path.write_bytes(b"")
    assert len(open_dataset(tiny_vspw, "val")) == 2


def test_content_hash_follows_names_and_bytes_and_nothing_else(tiny_vspw: Path) -> None:
    digest = open_dataset(tiny_vspw, "val").content_sha256()
    (tiny_vspw / "val.txt").write_text("second\r\n\r\nfirst\r\n")
    moved = tiny_vspw.rename(tiny_vspw.with_name("moved"))
    dataset = open_dataset(moved, "val")
    assert [clip.name for clip in dataset] == ["second", "first"]
    assert dataset.content_sha256() == digest
    assert dataset.take(1).content_sha256() != digest
    shutil.copy(moved / "data/first/mask/00000008.png", moved / MASK)
    assert dataset.content_sha256() != digest
    (moved / MASK).unlink()
    with pytest.raises(DataError, match=r"mask/00000009.png: not readable \(No such file"):
        dataset.content_sha256()


def test_a_split_without_masks_has_frames_only(tiny_vspw: Path) -> None:
    shutil.rmtree(tiny_vspw / FIRST / "mask")
    clip = open_dataset(tiny_vspw, "val").clip("first")
    assert not clip.has_ground_truth
    assert clip.frame(0).shape == (24, 32, 3)
    with pytest.raises(DataError) as error:
        clip.ground_truth(0)
    assert str(error.value) == (
        f"{tiny_vspw}/data/first/mask: clip first has no masks; add them, take the clip off the "
        "list, or use a split that has masks, such as val (those of the published test splits are "
        "not public)"
    )
    assert open_dataset(tiny_vspw, "val").content_sha256()


def test_only_ground_truth_needs_the_number_of_classes(tiny_vspw: Path) -> None:
    (tiny_vspw / "classes.json").unlink()
    dataset = open_dataset(tiny_vspw, "val")
    assert dataset.class_names is None
    assert dataset.clips[0].frame(0).shape == (24, 32, 3)
    message = r"classes.json: no usable class list.*; add or mend the file, or pass --num-classes$"
    with pytest.raises(DataError, match=message):
        dataset.clips[0].ground_truth(0)
    with pytest.raises(DataError, match=message):
        _ = dataset.num_classes
    assert open_dataset(tiny_vspw, "val", num_classes=3).clips[0].ground_truth(0).max() == 255


def test_settings_that_cannot_be_used_are_refused(tiny_vspw: Path) -> None:
    with pytest.raises(SettingsError, match=r"num_classes is 4 but the class list in .* has 3; "):
        open_dataset(tiny_vspw, "val", num_classes=4)
    with pytest.raises(SettingsError, match="num_classes is 0; it must be in"):
        open_dataset(tiny_vspw, "val", num_classes=0)
    with pytest.raises(SettingsError, match=r"split is '../val'; it must be a plain name"):
        open_dataset(tiny_vspw, "../val")
    with pytest.raises(SettingsError, match="no name is given"):
        open_dataset(tiny_vspw, "val", clips=[])


def save(size: tuple[int, int], mode: str = "L", value: int = 0) -> Callable[[Path], None]:
    """A function that writes a plain image over a file."""
    return lambda path: Image.new(mode, size, value).save(path)


def cut(path: Path) -> None:
    """Truncate a file in its middle."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leave 0 bytes."""
    path.write_bytes(b"")


# Each case: what is done to which file, the file that the message names, and the message.
FAULTS: dict[str, tuple[Callable[[Path], object], Path | str, Path | str, str]] = {
    "no root": (shutil.rmtree, "", "", "no such folder; give a data set root in VSPW layout"),
    "no split": (Path.unlink, "val.txt", "val.txt", r"no such split list \(val\); list one clip"),
    "empty split": (empty, "val.txt", "val.txt", "split list is empty; list one clip name a line"),
    "no clip": (shutil.rmtree, FIRST, FIRST, "no such clip folder; check the split list"),
    "no frames": (
        lambda folder: [path.unlink() for path in folder.iterdir()],
        FIRST / "origin",
        FIRST / "origin",
        r"no frames \(.jpg, .*, .bmp\); put <frame>.jpg files there \(and 5 more faults",
    ),
    "no frame": (Path.unlink, FRAME, MASK, "mask without a frame in .*; add the frame or move"),
    "no mask": (
        Path.unlink,
        MASK,
        MASK.parent,
        "no mask for frame 00000009.jpg; ask for annotated frames only, or add",
    ),
    "two files of a frame": (
        lambda path: shutil.copy(path, path.with_suffix(".png")),
        FRAME,
        FRAME.with_suffix(".png"),
        "same frame as 00000009.jpg; keep one",
    ),
    "frame of another size": (
        save((30, 24), "RGB"),
        FRAME,
        FRAME,
        r"is 24x30 \(height x width\) but .*origin/00000008.jpg is 24x32; .* resize labels",
    ),
    "mask of another size": (
        save((32, 20)),
        MASK,
        MASK,
        r"is 20x32 \(height x width\) but .*origin/00000008.jpg is 24x32; .* resize labels",
    ),
    "label out of range": (
        save((32, 24), value=4),
        MASK,
        MASK,
        r"mask value 4 is neither class \(1..3\) nor void \(0, 255\); check num_classes",
    ),
    "colour mask": (save((32, 24), "RGB"), MASK, MASK, "8-bit RGB PNG .*; write label values"),
    "empty frame": (empty, FRAME, FRAME, r"empty file \(0 bytes\); .* fetch the file again"),
    "empty mask": (empty, MASK, MASK, r"empty file \(0 bytes\); .* fetch the file again"),
    "truncated frame": (
        cut,
        FRAME,
        FRAME,
        r"not decodable .*[Tt]runcated.*; .* fetch the file again",
    ),
    "truncated mask": (cut, MASK, MASK, r"not decodable .*[Tt]runcated.*; .* fetch the file again"),
}


@pytest.mark.parametrize(("harm", "victim", "named", "message"), FAULTS.values(), ids=FAULTS)
def test_bad_data_is_one_line_naming_the_file_and_the_fix(
    tiny_vspw: Path, harm: Callable[[Path], object], victim: Path, named: Path, message: str
) -> None:
    read_all(open_dataset(tiny_vspw, "val"))
    harm(tiny_vspw / victim)
    with pytest.raises(DataError, match=message) as error:
        read_all(open_dataset(tiny_vspw, "val"))
    assert str(error.value).startswith(f"{tiny_vspw / named}: ")
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.exit_code == 3


def test_stray_labels_can_be_read_as_void(tiny_vspw: Path) -> None:
    save((32, 24), value=252)(tiny_vspw / MASK)
    dataset = open_dataset(tiny_vspw, "val", stray_labels="void")
    assert (dataset.clip("first").ground_truth(1) == 255).all()


def test_a_missing_split_list_names_those_that_exist(tiny_vspw: Path) -> None:
    with pytest.raises(DataError, match=r"test.txt: no such split list \(test\); splits here: val"):
        open_dataset(tiny_vspw, "test")


@pytest.mark.parametrize(
    "name", ["../x", "/etc", "..", ".", "a/b", "a\\b", "C:x", "a\tb", "x" * 201]
)
def test_split_lists_cannot_lead_out_of_the_root(tiny_vspw: Path, name: str) -> None:
    (tiny_vspw / "val.txt").write_text(f"first\n{name}\n")
    with pytest.raises(DataError, match=r"val.txt: line 2: .* is not a plain folder name; name a"):
        open_dataset(tiny_vspw, "val")


def test_repeated_and_unreadable_split_lists_are_refused(tiny_vspw: Path) -> None:
    (tiny_vspw / "val.txt").write_text("first\n\nsecond\n first")
    with pytest.raises(DataError, match="line 4: clip 'first' already stands on line 1; remove"):
        open_dataset(tiny_vspw, "val")
    (tiny_vspw / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"val.txt: not readable as text .*; write it in UTF-8"):
        open_dataset(tiny_vspw, "val")


@given(
    names=st.lists(
        st.text(min_size=1, max_size=20).map(str.strip).filter(is_plain_name), unique=True
    ),
    newline=st.sampled_from(["\n", "\r\n", "\n\n", " \n"]),
    last=st.booleans(),
)
def test_split_lists_are_read_whatever_their_line_ends(
    names: list[str], newline: str, last: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "val.txt"
        path.write_bytes((newline.join(names) + (newline if last else "")).encode())
        read, faults = read_split(path)
    assert list(read) == names
    assert len(faults) == (not names)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_split_list_give_plain_names_or_faults(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "val.txt"
        path.write_bytes(content)
        names, faults = read_split(path)
        assert names or faults
        for name in names:
            assert (path.parent / name).parent == path.parent
            assert (path.parent / name).resolve().parent == path.parent.resolve()


def test_unfinished_files_and_junk_are_not_frames(tiny_vspw: Path) -> None:
    for name in (".tmp-1.jpg", "Thumbs.db", "._00000009.jpg", ".DS_Store"):
        (tiny_vspw / FIRST / "origin" / name).write_bytes(b"")
        (tiny_vspw / FIRST / "mask" / name).write_bytes(b"")
    assert open_dataset(tiny_vspw, "val").clip("first").num_frames == 5


def test_faults_survive_worker_processes_and_stay_on_one_line() -> None:
    fault = pickle.loads(pickle.dumps(FileFault(Path("a\nb"), "bad", "mend it")))
    assert (str(fault), fault.exit_code) == ("a\\nb: bad; mend it", 3)


def test_real_clips(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "camvid", "val")
    assert dataset.num_classes == 11
    assert dataset.class_names is not None
    assert (dataset.class_names[0], dataset.class_names[-1]) == ("sky", "bicyclist")
    assert sum(clip.num_frames for clip in dataset) == 72
    for clip in dataset:
        assert clip.size == (360, 480)
        assert clip.frame(0).shape == (360, 480, 3)
        truth = clip.ground_truth(clip.num_frames - 1)
        assert truth.shape == (360, 480)
        assert set(np.unique(truth)) <= {*range(11), 255}
        assert (truth == 3).mean() > 0.1  # road


def test_a_list_in_utf_16_without_a_mark_says_its_encoding(tiny_vspw: Path) -> None:
    (tiny_vspw / "val.txt").write_bytes("first\nsecond".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"val.txt: not readable as text .*; write it in UTF-8"):
        open_dataset(tiny_vspw, "val")


def test_masks_belong_to_frames_whose_accents_are_written_otherwise(tiny_vspw: Path) -> None:
    before = open_dataset(tiny_vspw, "val").clip("first")
    for i in range(before.num_frames):  # composed as on Linux, decomposed as on a Mac
        before.frame_path(i).rename(before.frame_path(i).with_name(f"f\u00fcr{i}.jpg"))
        before.mask_path(i).rename(before.mask_path(i).with_name(f"fu\u0308r{i}.png"))
    after = open_dataset(tiny_vspw, "val").clip("first")
    assert after.frames == tuple(f"f\u00fcr{i}" for i in range(before.num_frames))
    assert after.annotated == before.annotated
    assert after.ground_truth(0).shape == after.size


def test_names_that_are_not_utf8_are_said(tiny_vspw: Path) -> None:
    assert not is_plain_name(os.fsdecode(b"caf\xe9"))
    frame = open_dataset(tiny_vspw, "val").clip("first").frame_path(0)
    shutil.copy(frame, frame.with_name(os.fsdecode(b"caf\xe9.jpg")))
    with pytest.raises(DataError, match=r"caf\\udce9.jpg: its name is not UTF-8; rename it"):
        open_dataset(tiny_vspw, "val")


@pytest.mark.parametrize("name", ["film ", " film", "film\u00a0"])
def test_outer_blanks_are_in_no_plain_name(name: str) -> None:
    assert not is_plain_name(name)
    assert is_plain_name(name.strip())
