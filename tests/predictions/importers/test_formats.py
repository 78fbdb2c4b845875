"""Predictions in every system's own format come back exactly, and bad ones are one clear line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.predictions.importers.convert import convert_predictions, open_predictions
from tests.formats import (
    FakeClip,
    degraded,
    fake_clips,
    save,
    write_dvis,
    write_index,
    write_mmseg,
    write_vipseg,
    write_vipseg_images,
    write_vspw,
)

CLIPS = fake_clips(3)
PREDICTED = degraded(CLIPS)
CLOSED = degraded(CLIPS, void=False)  # what never says void
FIRST, FRAMES = CLIPS[0].name, CLIPS[0].frames


def mmseg(**options: object) -> Callable[[Path], Path]:
    return lambda path: write_mmseg(path.with_suffix(".pkl"), CLOSED, **options)  # pyright: ignore[reportArgumentType]


# name: format, label offset, what is predicted, how it is written
CASES: dict[str, tuple[str, int, list[FakeClip], Callable[[Path], Path]]] = {
    "grey": ("index", 0, PREDICTED, lambda p: write_index(p, PREDICTED)),
    "palette": ("index", 0, PREDICTED, lambda p: write_index(p, PREDICTED, palette=True)),
    "from 1": ("index", 1, PREDICTED, lambda p: write_index(p, PREDICTED, offset=1)),
    "dvis": ("panoptic-json", 0, PREDICTED, lambda p: write_dvis(p, PREDICTED)),
    "vipseg": ("vipseg", 0, PREDICTED, lambda p: write_vipseg_images(p, PREDICTED)),
    "mmseg": ("mmseg-pkl", 0, CLOSED, mmseg()),
    "mmseg uint8": ("mmseg-pkl", 0, CLOSED, mmseg(dtype="uint8", protocol=4)),
    "mmseg int32": ("mmseg-pkl", 0, CLOSED, mmseg(dtype=">i4", protocol=3)),
    "mmseg from 1": ("mmseg-pkl", 1, CLOSED, mmseg(protocol=5, offset=1)),
}


@pytest.fixture(params=["vspw", "vipseg"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    write = {"vspw": write_vspw, "vipseg": write_vipseg}[request.param]
    return open_dataset(write(tmp_path / "root", CLIPS), "val")


@pytest.fixture
def vspw(tmp_path: Path) -> Dataset:
    return open_dataset(write_vspw(tmp_path / "root", CLIPS), "val")


@pytest.mark.parametrize("case", CASES)
def test_every_format_comes_back_exactly(dataset: Dataset, tmp_path: Path, case: str):
    format_name, offset, predicted, write = CASES[case]
    path = write(tmp_path / "theirs")
    source = open_predictions(format_name, path, dataset, label_offset=offset)
    out = PredictionFolder(tmp_path / "out", dataset.num_classes)
    done: list[str] = []
    assert convert_predictions(dataset, source, out, progress=done.append) == 0
    assert done == [clip.name for clip in CLIPS]
    for fake, clip in zip(predicted, dataset, strict=True):
        for i, labels in enumerate(fake.labels):
            np.testing.assert_array_equal(source.read(clip, i), labels)
            np.testing.assert_array_equal(out.read(clip, i), labels)


@pytest.mark.parametrize("case", ["from 1", "dvis", "vipseg", "mmseg"])
def test_converting_resumes_and_refuses_to_mix(vspw: Dataset, tmp_path: Path, case: str):
    format_name, offset, _, write = CASES[case]
    path = write(tmp_path / "theirs")
    out = PredictionFolder(tmp_path / "out", 124)

    def convert() -> int:
        source = open_predictions(format_name, path, vspw, label_offset=offset)
        return convert_predictions(vspw, source, out)

    convert()
    out.path(vspw.clips[1], 2).unlink()
    stamps = {p: p.stat().st_mtime_ns for p in out.root.rglob("*.png")}
    assert convert() == 2
    kept = [p for p, stamp in stamps.items() if p.stat().st_mtime_ns == stamp]
    assert {p.parent.name for p in stamps.keys() - kept} == {vspw.clips[1].name}
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    {
        "from 1": lambda: write_index(path, CLIPS, offset=1),
        "dvis": lambda: write_dvis(path, CLIPS),
        "vipseg": lambda: write_vipseg_images(path, CLIPS),
        "mmseg": lambda: write_mmseg(path, degraded(CLIPS, 2, void=False)),
    }[case]()
    with pytest.raises(DataError, match=r"made with other inputs: source_sha256 is"):
        convert()


def test_a_part_of_a_split_reads_its_own_results(vspw: Dataset, tmp_path: Path):
    path = write_mmseg(tmp_path / "results.pkl", CLOSED)
    last = open_dataset(vspw.root, "val", clips=[CLIPS[2].name])
    source = open_predictions("mmseg-pkl", path, vspw)
    np.testing.assert_array_equal(source.read(last.clips[0], 3), CLOSED[2].labels[3])
    with pytest.raises(DataError, match="holds 12 results, but the split has 4 frames; check that"):
        open_predictions("mmseg-pkl", path, last).check(last.clips[0])


def test_segments_of_one_class_become_one(vspw: Dataset, tmp_path: Path):
    """Two persons are two segments; both become the class."""
    ids = np.zeros((30, 48), np.uint16)
    ids[:10], ids[10:20] = 6100, 6107
    for clip in CLIPS:
        for frame in clip.frames:
            save(tmp_path / "p" / clip.name / f"{frame}.png", ids)
    labels = open_predictions("vipseg", tmp_path / "p", vspw).read(vspw.clips[0], 0)
    assert np.unique(labels).tolist() == [60, 255]
    assert (labels[:20] == 60).all()


def test_settings_are_checked(vspw: Dataset, tmp_path: Path):
    with pytest.raises(SettingsError, match="format 'coco': known are index, panoptic-json"):
        open_predictions("coco", tmp_path, vspw)
    with pytest.raises(SettingsError, match="label_offset is 1; it must be 0 for format vipseg"):
        open_predictions("vipseg", tmp_path, vspw, label_offset=1)
    with pytest.raises(SettingsError, match="label_offset is 2; it must be 0 or 1"):
        open_predictions("index", tmp_path, vspw, label_offset=2)
    with pytest.raises(DataError, match=r"none: no such file or folder; check where"):
        open_predictions("index", tmp_path / "none", vspw)


def edit_json(change: Callable[[list[dict]], object]) -> Callable[[Path], None]:
    """Change the segments of the first frame in `pred.json`."""

    def edit(root: Path) -> None:
        content = json.loads((root / "pred.json").read_text())
        change(content["annotations"][0]["annotations"][0]["segments_info"])
        (root / "pred.json").write_text(json.dumps(content))

    return edit


def drop_frame(root: Path) -> None:
    content = json.loads((root / "pred.json").read_text())
    del content["annotations"][0]["annotations"][1]
    (root / "pred.json").write_text(json.dumps(content))


def frame_path(root: Path) -> Path:
    return next(root.rglob(f"{FIRST}/{FRAMES[1]}.png"))


def rename(root: Path) -> None:
    frame_path(root).rename(frame_path(root).with_name("1.png"))


# what is written, what is done to it, and the message; {clip} and {frame} are the first ones
FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no clip": ("grey", lambda p: shutil.rmtree(p / FIRST), "{clip}: no predictions of this clip"),
    "no frame": ("grey", lambda p: frame_path(p).unlink(), "{clip}: no prediction of frame {next}"),
    "names": ("vipseg", rename, "no prediction of frame {next}; predictions must be named as"),
    "surplus": (
        "dvis",
        lambda p: shutil.copy(frame_path(p), frame_path(p).with_name("7.png")),
        "{clip}: prediction of what is no frame: 7; predictions must be named",
    ),
    "two files": (
        "grey",
        lambda p: shutil.copy(frame_path(p), frame_path(p).with_suffix(".PNG")),
        "{next}.png: same frame as {next}.PNG; keep one of the two files",
    ),
    "foreign": (
        "grey",
        lambda p: frame_path(p).with_name("log.txt").touch(),
        "log.txt: is no image that is read here; move it away or convert it",
    ),
    "size": (
        "vipseg",
        lambda p: save(frame_path(p), np.ones((30, 40), np.uint16)),
        r"{next}.png: is 30x40 \(height x width\) but .*{frame}.jpg is 30x48",
    ),
    "class": (
        "grey",
        lambda p: save(frame_path(p), np.full((30, 48), 130, np.uint8)),
        r"{next}.png: label 130 is neither class \(0..123\) nor void",
    ),
    "numbered from 1": (
        "grey",
        lambda p: save(frame_path(p), np.full((30, 48), 124, np.uint8)),
        "numbers? the classes 1..124, pass --label-offset 1",
    ),
    "colours": (
        "grey",
        lambda p: save(frame_path(p), np.zeros((30, 48, 3), np.uint8)),
        "8-bit RGB PNG where labels are read",
    ),
    "no ids": (
        "dvis",
        lambda p: save(frame_path(p), np.zeros((30, 48), np.uint8)),
        "8-bit grey PNG where ids as 8-bit RGB are read",
    ),
    "no panoptic id": (
        "vipseg",
        lambda p: save(frame_path(p), np.full((30, 48), 12_600, np.uint16)),
        "{next}.png: id 12600 is neither void",
    ),
    "no list": ("dvis", lambda p: (p / "pred.json").unlink(), "pred.json: no such file"),
    "frame not listed": ("dvis", drop_frame, "pred.json: no prediction of frame {next}"),
    "unknown id": (
        "dvis",
        edit_json(lambda s: s.pop()),
        r"{frame}.png: segment id \d+ is not listed for this frame in .*pred.json; image and list",
    ),
    "unseen id": (
        "dvis",
        edit_json(lambda s: s.append({"id": 5, "category_id": 3})),
        "{frame}.png: no pixel has id 5, which .*pred.json lists",
    ),
    "two categories": (
        "dvis",
        edit_json(lambda s: s.append(s[0] | {"category_id": 77})),
        "pred.json: segment id .* has two categories",
    ),
    "no category": (
        "dvis",
        edit_json(lambda s: s[0].pop("category_id")),
        r"pred.json: annotations.0.annotations.0.segments_info.0.category_id: Field required",
    ),
    "no class": (
        "dvis",
        edit_json(lambda s: s[0].update(category_id=124)),
        "pred.json: category_id 124 of segment .* is no class; categories must be 0..123",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_bad_predictions_are_one_line(vspw: Dataset, tmp_path: Path, case: str):
    written, harm, message = FAULTS[case]
    format_name, offset, _, write = CASES[written]
    path = write(tmp_path / "theirs")
    harm(path)
    out = PredictionFolder(tmp_path / "out", 124)
    message = message.format(clip=FIRST, frame=FRAMES[0], next=FRAMES[1])
    source = open_predictions(format_name, path, vspw, label_offset=offset)
    with pytest.raises(DataError, match=message) as error:
        convert_predictions(vspw, source, out)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    assert not list(out.root.rglob("made_from.json"))  # no clip passes for a finished one
