"""Conversions give what the official scripts give, once, whole, and with one set of settings."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2vss_lib.datasets import open_dataset, verify_dataset
from sam2vss_lib.datasets.converting.conversion import convert_dataset
from sam2vss_lib.errors import DataError, SettingsError
from tests.formats import FakeClip, fake_clips, write_vipseg, write_vspw


def files_below(root: Path) -> dict[str, bytes]:
    files = (p for p in root.rglob("*") if p.is_file() and ".sam2vss" not in p.parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def by_the_official_recipe(source: Path, target: Path, pairs: list[tuple[str, str]], side: int):
    """Both scripts' inner loop in plain Pillow: `pairs` are folders of frames and of masks."""
    for frames, masks in pairs:
        for path in sorted((source / frames).iterdir()):
            mask = source / masks / f"{path.name.split('.')[0]}.png"
            image = Image.open(path)
            width, height = image.size
            size = (int(side * width / height), side)
            new_frames = target / frames.replace("imgs", "images")
            new_frames.mkdir(parents=True, exist_ok=True)
            image.resize(size, Image.Resampling.BILINEAR).save(new_frames / path.name)
            (target / masks).mkdir(parents=True, exist_ok=True)
            Image.open(mask).resize(size, Image.Resampling.NEAREST).save(target / masks / mask.name)


def test_vspw_is_what_the_official_script_makes(tmp_path: Path):
    clips = fake_clips(2)
    source = write_vspw(tmp_path / "VSPW", clips)
    target, expected = tmp_path / "VSPW_480p", tmp_path / "expected"
    result = convert_dataset("vspw-480p", source, target, workers=2)
    assert (result.converted, result.reused, result.without_masks) == (2, 0, 0)
    pairs = [(f"data/{clip.name}/origin", f"data/{clip.name}/mask") for clip in clips]
    by_the_official_recipe(source, expected, pairs, 480)
    found = files_below(target)
    assert found.pop("val.txt").decode().split() == [clip.name for clip in clips]
    assert found.pop("label_num_dic_final.json")
    assert found == files_below(expected)
    assert open_dataset(target, "val").clips[0].size == (480, 768)  # 30 x 48
    assert verify_dataset(target, "val").ok


def test_width_is_cut_off_not_rounded(tiny_vspw: Path, tmp_path: Path):
    for path in (*tiny_vspw.rglob("*.jpg"), *tiny_vspw.rglob("*.png")):
        Image.open(path).resize((33, 20)).save(path)
    convert_dataset("vspw-480p", tiny_vspw, tmp_path / "new", height_px=11)
    assert open_dataset(tmp_path / "new", "val").clips[0].size == (11, 18)  # 18.15


def test_vipseg_is_what_the_official_script_makes(tmp_path: Path):
    clips = fake_clips(3)
    source = write_vipseg(tmp_path / "VIPSeg", clips)
    test, partly = clips[1].name, clips[2]
    shutil.rmtree(source / "panomasks" / test)
    (source / "panomasks" / partly.name / f"{partly.frames[0]}.png").unlink()
    target, expected = tmp_path / "VIPSeg_720P", tmp_path / "expected"
    result = convert_dataset("vipseg-720p", source, target)
    assert (result.converted, result.reused, result.without_masks) == (2, 0, 1)
    (source / "imgs" / partly.name / f"{partly.frames[0]}.jpg").unlink()  # "the test set"
    pairs = [(f"imgs/{c.name}", f"panomasks/{c.name}") for c in (clips[0], partly)]
    by_the_official_recipe(source, expected, pairs, 720)
    found = files_below(target)
    assert found.pop("val.txt").decode().split() == [clips[0].name, partly.name]
    assert found == files_below(expected)
    assert verify_dataset(target, "val").ok


def test_vipseg_without_instances_is_vspw(tmp_path: Path):
    clips = fake_clips(2)
    source, target = write_vipseg(tmp_path / "VIPSeg", clips), tmp_path / "semantic"
    convert_dataset("vipseg-720p", source, target, semantic=True)
    assert verify_dataset(target, "val").ok
    labels_of_sources(clips, target, scale=24)
    assert sorted(p.name for p in target.iterdir() if p.name[0] != ".") == [
        "classes.json",
        "data",
        "val.txt",
    ]


def labels_of_sources(clips: list[FakeClip], target: Path, scale: int):
    for made, clip in zip(open_dataset(target, "val"), clips, strict=True):
        assert made.frames == clip.frames
        for t, labels in enumerate(clip.labels):
            # a whole factor repeats every pixel
            assert np.array_equal(made.ground_truth(t), np.kron(labels, np.ones((scale,) * 2, int)))


def test_a_second_run_reuses_and_other_settings_are_refused(tiny_vspw: Path, tmp_path: Path):
    target = tmp_path / "new"
    convert_dataset("vspw-480p", tiny_vspw, target, split="val", height_px=12)
    before = {p: p.stat().st_mtime_ns for p in target.rglob("*.jpg")}
    again = convert_dataset("vspw-480p", tiny_vspw, target, split="val", height_px=12)
    assert (again.converted, again.reused) == (0, 2)
    assert {p: p.stat().st_mtime_ns for p in target.rglob("*.jpg")} == before
    with pytest.raises(DataError, match=r"first/origin: made .*height_px is 12, not 480;.* 1 more"):
        convert_dataset("vspw-480p", tiny_vspw, target)
    (tiny_vspw / "data/first/mask/00000008.png").unlink()
    with pytest.raises(DataError, match=r"first/origin: made .* source_files_sha256 is "):
        convert_dataset("vspw-480p", tiny_vspw, target, height_px=12)
    shutil.rmtree(target / "data/second")  # to be made anew
    shutil.rmtree(target / "data/first")
    assert convert_dataset("vspw-480p", tiny_vspw, target).converted == 2


def test_a_clip_appears_whole_or_not_at_all(tiny_vspw: Path, tmp_path: Path):
    target = tmp_path / "new"
    frame = tiny_vspw / "data/first/origin/00000010.jpg"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:300])
    with pytest.raises(DataError, match=r"first/origin/00000010.jpg: not decodable"):
        convert_dataset("vspw-480p", tiny_vspw, target)
    assert sorted(p.name for p in (target / "data").iterdir()) == ["second"]
    assert not (target / "val.txt").exists()
    frame.write_bytes(whole)
    # what a run leaves that is killed between its last steps
    left = target / ".sam2vss" / "unfinished" / "first" / "frames"
    left.mkdir(parents=True)
    (left / "junk.jpg").write_bytes(b"")
    result = convert_dataset("vspw-480p", tiny_vspw, target)
    assert (result.converted, result.reused) == (1, 1)
    assert verify_dataset(target, "val").ok


def test_a_killed_run_is_taken_up_again(tmp_path: Path):
    source = write_vspw(tmp_path / "VSPW", fake_clips(3, num_frames=6))
    target, undisturbed = tmp_path / "new", tmp_path / "undisturbed"
    command = [sys.executable, "-m", "sam2vss_lib.cli", "data", "convert", "vspw-480p"]
    with subprocess.Popen([*command, source, target, "--workers", "1"]) as run:
        while not list(target.glob("data/*/origin")):
            assert run.poll() is None
            time.sleep(0.005)
        run.kill()
    assert not (target / "val.txt").exists()
    whole = {clip.name for clip in (target / "data").iterdir() if (clip / "origin").is_dir()}
    for name in whole:
        assert len(list((target / "data" / name).rglob("0*"))) == 12
    result = convert_dataset("vspw-480p", source, target)
    assert result.reused == len(whole) < 3
    convert_dataset("vspw-480p", source, undisturbed)
    assert files_below(target) == files_below(undisturbed)
    assert not (target / ".sam2vss" / "unfinished").exists()


def test_strangers_files_are_left_alone(tiny_vspw: Path, tmp_path: Path):
    target = tmp_path / "new"
    shutil.copytree(tiny_vspw / "data/first", target / "data/first")
    before = files_below(target / "data/first")
    with pytest.raises(DataError, match=r"first/origin: is there already, and was not made by"):
        convert_dataset("vspw-480p", tiny_vspw, target)
    assert files_below(target / "data/first") == before


def test_lists_and_classes_that_are_there_stay(tiny_vspw: Path, tmp_path: Path):
    target = tmp_path / "new"
    target.mkdir()
    (target / "val.txt").write_bytes(b"mine\r\nsecond")
    convert_dataset("vspw-480p", tiny_vspw, target)
    assert (target / "val.txt").read_bytes() == b"mine\r\nsecond\r\nfirst\r\n"
    assert (target / "classes.json").read_bytes() == (tiny_vspw / "classes.json").read_bytes()
    (target / "classes.json").write_text('{"1": "mine"}')
    with pytest.raises(DataError, match=r"new/classes.json: is another class list than .*; it is"):
        convert_dataset("vspw-480p", tiny_vspw, target)
    assert (target / "classes.json").read_text() == '{"1": "mine"}'
    bad = "second\n".encode("utf-16")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "val.txt").write_bytes(bad)
    with pytest.raises(DataError, match=r"bad/val.txt: not readable as text"):
        convert_dataset("vspw-480p", tiny_vspw, tmp_path / "bad")
    assert (tmp_path / "bad" / "val.txt").read_bytes() == bad
    assert not (tmp_path / "bad" / "data").exists()


def test_what_cannot_be_converted(tiny_vspw: Path, tmp_path: Path):
    new, empty = tmp_path / "new", tmp_path / "empty"
    empty.mkdir()

    def refused(kind: Any, words: str, *arguments: Any, **settings: Any) -> None:
        with pytest.raises(kind, match=words):
            convert_dataset(*arguments, **settings)

    refused(SettingsError, "known are vspw-480p, vipseg-720p", "vspw-360p", tiny_vspw, new)
    refused(SettingsError, "is the source", "vspw-480p", tiny_vspw, tiny_vspw)
    refused(SettingsError, "height_px is -1", "vspw-480p", tiny_vspw, new, height_px=-1)
    refused(SettingsError, "VSPW's masks are", "vspw-480p", tiny_vspw, new, semantic=True)
    refused(DataError, "none: no such folder", "vspw-480p", tmp_path / "none", new)
    refused(DataError, "is not vipseg as published; exp", "vipseg-720p", tiny_vspw, new)
    refused(DataError, "data: no such folder", "vspw-480p", empty, new)
    refused(DataError, "no such split list", "vspw-480p", tiny_vspw, new, split="train")
    assert not new.exists()
