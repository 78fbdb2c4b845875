"""`sam2vss apply` on a video and on folders of frames, with predictions of all shapes."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.views.film import film
from tests.apply.conftest import CLASSES, FRAMES, apply

CLIP = "1_demo5"


@pytest.fixture
def flat(applied: Path, tmp_path: Path) -> Path:
    """Labels of the clip, directly in a folder, which is no folder of ours."""
    return shutil.copytree(
        applied / "base" / CLIP, tmp_path / "flat", ignore=shutil.ignore_patterns("*.json")
    )


def labels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*/*.png"))}


def test_a_video_with_flat_predictions(clip_root: Path, flat: Path, tmp_path: Path) -> None:
    (clip,) = open_dataset(clip_root, "val")
    video = tmp_path / "street.mp4"
    with film(video, 24) as add:
        for i in range(FRAMES):
            add(clip.frame(i))
    out = tmp_path / "out"
    done = apply(video, "--predictions", flat, "--num-classes", CLASSES, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    assert "video street: about 6 frames of 320x240 at 24 frames a second" in done.stderr
    result = json.loads(done.stdout)
    assert (result["clips"], result["frames"]) == (1, FRAMES)
    (made,) = open_dataset(out / "data", "val")
    assert made.name == "street"
    assert len(labels(out / "refined")) == FRAMES
    with av.open(out / "films" / "street" / "changes.mp4") as container:
        assert container.streams.video[0].average_rate == 24
    assert not (out / "metrics").exists()
    page = (out / "index.html").read_text()
    assert "class 0" in page
    assert "ground truth" not in page.replace("without ground truth", "")
    # once more is nothing new, and other predictions are others
    assert (
        apply(video, "--predictions", flat, "--num-classes", CLASSES, "--out", out).exit_code == 0
    )
    moved = shutil.copytree(flat, tmp_path / "moved")
    done = apply(video, "--predictions", moved, "--num-classes", CLASSES, "--out", out)
    assert done.exit_code == 3
    assert "is there already, and is no link to these predictions" in done.stderr


@pytest.mark.parametrize("shape", ["nested", "flat", "named as the images", "from 1"])
def test_a_folder_of_frames(
    applied: Path, clip_root: Path, flat: Path, tmp_path: Path, shape: str
) -> None:
    (clip,) = open_dataset(clip_root, "val")
    frames = tmp_path / "my frames"
    frames.mkdir()
    for i in range(FRAMES):
        shutil.copy(clip.frame_path(i), frames / f"img {9 + i}.jpg")  # 9, 10: not by characters
    given, extra = flat, ()
    if shape == "nested":
        given = tmp_path / "given"
        shutil.copytree(flat, given / "my frames")
    elif shape == "named as the images":
        given = tmp_path / "given"
        given.mkdir()
        for i, name in enumerate(clip.frames):
            shutil.copy(flat / f"{name}.png", given / f"img {9 + i}.png")
    elif shape == "from 1":
        given, extra = tmp_path / "given", ("--label-offset", 1)
        one = PredictionFolder(applied / "base", CLASSES)
        other = PredictionFolder(given, CLASSES, label_offset=1)
        for i in range(FRAMES):
            other.write(clip, i, one.read(clip, i))
        given /= clip.name
    out = tmp_path / "out"
    done = apply(frames, "--predictions", given, "--num-classes", CLASSES, "--out", out, *extra)
    assert done.exit_code == 0, done.output
    (made,) = open_dataset(out / "data", "val", num_classes=CLASSES)
    refined = PredictionFolder(out / "refined", CLASSES, 1 if extra else 0)
    # by the single stages, of labels in the usual place
    usual = tmp_path / "usual"
    shutil.copytree(flat, usual / "my frames")
    wanted = PredictionFolder(tmp_path / "wanted", CLASSES)
    dataset = open_dataset(out / "data", "val", num_classes=CLASSES)
    refine(dataset, PredictionFolder(usual, CLASSES), MaskletStore(out / "masklets"), wanted)
    for i in range(FRAMES):
        assert (refined.read(made, i) == wanted.read(made, i)).all()
        named = out / "refined_as_named" / f"img {9 + i}.png"
        assert named.read_bytes() == refined.path(made, i).read_bytes()


def test_a_part_of_a_video(clip_root: Path, tmp_path: Path) -> None:
    frames = clip_root / "data" / CLIP / "origin"
    out = tmp_path / "out"
    done = apply(frames, "--model", "segformer-micro", "--max-frames", 2, "--out", out)
    assert done.exit_code == 0, done.output
    assert "folder of frames origin: 2 frames of 320x240" in done.stderr
    assert len(labels(out / "refined")) == 2
    assert f"--num-classes {CLASSES}" in (out / "index.html").read_text()


def test_what_cannot_be_used_is_said_in_one_line(
    clip_root: Path, flat: Path, tmp_path: Path, refuse: Any
) -> None:
    frames = clip_root / "data" / CLIP / "origin"
    missing, given = tmp_path / "none.mp4", ("--predictions", flat)
    assert refuse(2, clip_root) == "give --predictions or --model: one of the two is refined"
    both = (*given, "--model", "segformer-micro")
    assert refuse(2, clip_root, *both).startswith("give --predictions or --model")
    assert refuse(3, missing, *given).startswith(f"{missing}: no such file or folder; give a video")
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    assert f"{text}: cannot be decoded" in refuse(3, text, *given, "--num-classes", CLASSES)
    assert "--num-classes: is needed" in refuse(2, frames, *given)
    assert "--max-frames: is for a video" in refuse(2, clip_root, *given, "--max-frames", 2)
    assert "--fps is 0.0" in refuse(2, clip_root, *given, "--fps", 0)
    wrong = ("--model", "segformer-micro", "--label-offset", 1)
    assert "--label-offset: is for --predictions" in refuse(2, clip_root, *wrong)
    assert "num_classes is 300; it must be" in refuse(2, frames, *given, "--num-classes", 300)
    assert "--split is 'a/b'" in refuse(2, clip_root, *given, "--split", "a/b")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_frames_says_what_is_read(
    clip_root: Path, tmp_path: Path, refuse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, odd = ("--model", "segformer-micro"), tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    assert refuse(3, odd, *model).endswith("its name is no plain name for a clip; rename it")
    folder = tmp_path / "mine"
    folder.mkdir()
    assert refuse(3, folder, *model).startswith(f"{folder}: no frames (.jpg, .jpeg, .png")
    (folder / "1.tif").touch()
    assert f"{folder}/1.tif: is no image that is read here" in refuse(3, folder, *model)

    def forbid(place: Any) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    monkeypatch.setattr(os, "listdir", forbid)
    said = refuse(3, folder, *model)
    assert said == f"{folder}: not readable (Permission denied); check its rights"


def test_labels_in_other_formats_are_named(
    clip_root: Path, flat: Path, tmp_path: Path, refuse: Any
) -> None:
    frames = clip_root / "data" / CLIP / "origin"
    given = (frames, "--predictions", flat, "--num-classes", CLASSES)
    for path in [*flat.iterdir()]:
        with Image.open(path) as image:
            image.convert("L").save(path, format="JPEG")
    assert "(it is JPEG); save it anew in such a format" in refuse(3, *given)
    for suffix in (".jpg", ".npy"):
        for path in [*flat.iterdir()]:
            path.rename(path.with_suffix(suffix))
        said = refuse(3, *given)
        assert f"{suffix}: is no image that is read here; move it away or convert it" in said
        assert said.endswith("(sam2vss predictions formats); read are .png, .bmp")


def test_wrong_predictions_are_forgotten_once_the_right_ones_are_given(
    clip_root: Path, flat: Path, tmp_path: Path, refuse: Any
) -> None:
    out = ("--num-classes", CLASSES, "--out", tmp_path / "out")
    frames, wrong = shutil.copytree(clip_root / "data" / CLIP / "origin", tmp_path / "f"), flat
    right = shutil.copytree(flat, tmp_path / "right")
    for i, path in enumerate(sorted(frames.iterdir())):  # as macOS writes names, and as others do
        path.rename(frames / f"fu\u0308r {i}{path.suffix}")
        (right / f"{path.stem}.png").rename(right / f"f\u00fcr {i}.png")
    Image.new("L", (8, 8)).save(wrong / "00000005.png")
    assert "00000005.png: is 8x8" in refuse(3, frames, "--predictions", wrong, *out)
    assert not (tmp_path / "out" / "masklets").exists()
    done = apply(frames, "--predictions", right, *out)
    assert done.exit_code == 0, done.output


def test_a_frame_without_prediction_is_named(
    clip_root: Path, flat: Path, tmp_path: Path, refuse: Any
) -> None:
    (flat / "00000004.png").unlink()
    said = refuse(3, clip_root, "--predictions", flat)
    assert f"{flat}: no prediction of frame 00000004; name the labels as the frames" in said
    assert not (tmp_path / "out" / "masklets").exists()
    nowhere = tmp_path / "nowhere"
    said = refuse(3, clip_root, "--predictions", nowhere)
    assert said == f"{nowhere}: no such folder; give --predictions a folder of label PNGs"


def test_labels_that_do_not_fit_are_said_before_masklets(
    clip_root: Path, flat: Path, tmp_path: Path, refuse: Any
) -> None:
    said = refuse(
        3, clip_root / "data" / CLIP / "origin", "--predictions", flat, "--num-classes", 2
    )
    assert "is neither class (0..1) nor void (255)" in said
    assert not (tmp_path / "out" / "masklets").exists()


def test_a_disk_that_is_too_small_is_refused(
    clip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Any
) -> None:
    def small(_: Path) -> Any:
        return shutil._ntuple_diskusage(100, 99, 1)  # type: ignore[attr-defined]

    monkeypatch.setattr("shutil.disk_usage", small)
    said = refuse(2, clip_root, "--model", "segformer-micro")
    assert f"{tmp_path / 'out'}: up to 1 MiB are needed, 1 MiB are free; make room" in said
    assert not (tmp_path / "out").exists()


def test_numbers_from_0_are_not_those_of_the_frames_after(
    clip_root: Path, flat: Path, tmp_path: Path, refuse: Any
) -> None:
    """Of frames 0, 1, 2, ... the label of frame 0 is missing: none stands beside another frame."""
    origin, frames = clip_root / "data" / CLIP / "origin", tmp_path / "street"
    frames.mkdir()
    for number, image in enumerate(sorted(origin.iterdir())):
        shutil.copy(image, frames / f"{number:08d}{image.suffix}")
    given = ("--predictions", flat, "--num-classes", CLASSES, "--max-frames", 3)
    said = refuse(3, frames, *given, "--out", tmp_path / "out")
    assert "flat: no prediction of frame 00000000" in said
    shutil.move(flat / "00000001.png", flat / "00000000.png")
    video, (clip,) = tmp_path / "street.mp4", open_dataset(clip_root, "val")
    with film(video, 24) as add:
        for i in range(FRAMES):
            add(clip.frame(i))
    said = refuse(3, video, *given, "--out", tmp_path / "other")
    assert "flat: 00000000.png counts from 0" in said
    inside = refuse(2, frames, *given, "--out", frames / "out")
    assert "lies in the folder of frames" in inside
    assert not (frames / "out").exists()
