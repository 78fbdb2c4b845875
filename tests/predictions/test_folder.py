"""Prediction folders: what is written is read back, and nothing else is read."""

import shutil
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from sam2vss_lib.datasets import Clip, open_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.predictions.folder import PredictionFolder

SIZE = (24, 32)


@pytest.fixture
def clip(tiny_vspw: Path) -> Clip:
    """A clip of 5 frames."""
    return open_dataset(tiny_vspw, "val").clips[0]


@pytest.fixture
def folder(tmp_path: Path) -> PredictionFolder:
    """A prediction folder that does not exist yet."""
    return PredictionFolder(tmp_path / "predictions", 3)


@settings(deadline=None, max_examples=50)
@given(data=st.data(), num_classes=st.integers(1, 254), label_offset=st.sampled_from([0, 1]))
def test_labels_survive_the_round_trip(
    data: st.DataObject, num_classes: int, label_offset: int
) -> None:
    value = st.one_of(st.integers(0, num_classes - 1), st.just(255))
    labels = data.draw(hnp.arrays(np.uint8, (3, 4), elements=value))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "data/clip/origin").mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(root / "data/clip/origin/7.png")
        clip = Clip("clip", root, ("7.png",))
        folder = PredictionFolder(root / "out", num_classes, label_offset)
        folder.write(clip, 0, labels)
        np.testing.assert_array_equal(folder.read(clip, 0), labels)
        stored = np.array(Image.open(root / "out/clip/7.png"))
    np.testing.assert_array_equal(
        stored, np.where(labels == 255, 255, labels.astype(int) + label_offset)
    )


def test_offset_one_reads_zero_as_void(clip: Clip, folder: PredictionFolder) -> None:
    values = np.zeros(SIZE, np.uint8)
    values[0, :3] = 1, 3, 255
    folder.path(clip, 0).parent.mkdir(parents=True)
    Image.fromarray(values).save(folder.path(clip, 0))
    labels = PredictionFolder(folder.root, 3, label_offset=1).read(clip, 0)
    assert labels[0, :4].tolist() == [0, 2, 255, 255]
    with pytest.raises(DataError, match=r"label 3 .*; .* pass --label-offset 1$"):
        folder.read(clip, 0)


def test_labels_of_any_listed_format_are_found(clip: Clip, folder: PredictionFolder) -> None:
    files = folder.root / clip.name
    files.mkdir(parents=True)
    for i, suffix in enumerate((".PNG", ".bmp", ".BMP")):
        path = files / f"{clip.frames[i]}{suffix}"
        Image.fromarray(np.full(SIZE, i, np.uint8)).save(path)
        assert folder.path(clip, i) == path
        assert (folder.read(clip, i) == i).all()
    (files / ".DS_Store").touch()
    assert folder.missing(clip) == (3, 4)
    shutil.copy(folder.path(clip, 0), files / f"{clip.frames[0]}.bmp")
    with pytest.raises(DataError, match=r"00000008.bmp: same frame as 00000008.PNG; keep one of"):
        folder.missing(clip)
    (files / f"{clip.frames[0]}.bmp").unlink()
    (files / "scores.txt").touch()
    with pytest.raises(DataError, match=r"scores.txt: is no image that is read here; move it"):
        folder.missing(clip)


def test_probabilities_survive_the_round_trip(clip: Clip, folder: PredictionFolder) -> None:
    labels = np.zeros(SIZE, np.uint8)
    probabilities = np.random.default_rng(0).random((3, 6, 8)).astype(np.float16)
    folder.write(clip, 2, labels, probabilities)
    read = folder.read_probabilities(clip, 2)
    assert read is not None
    assert read.dtype == np.float16
    np.testing.assert_array_equal(read, probabilities)
    assert sorted(p.name for p in (folder.root / "first").iterdir()) == [
        "00000010.npz",
        "00000010.png",
    ]
    folder.write(clip, 2, labels)  # the old probabilities belong to other labels
    assert folder.read_probabilities(clip, 2) is None


def test_a_failed_write_of_probabilities_leaves_the_old_prediction(
    clip: Clip, folder: PredictionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, probabilities = np.zeros(SIZE, np.uint8), np.zeros((3, 6, 8), np.float16)
    folder.write(clip, 2, labels, probabilities)
    before = {path.name: path.read_bytes() for path in (folder.root / "first").iterdir()}

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(KeyboardInterrupt):
        folder.write(clip, 2, labels + 1, probabilities)
    assert {path.name: path.read_bytes() for path in (folder.root / "first").iterdir()} == before


def test_missing_lists_the_frames_to_do(clip: Clip, folder: PredictionFolder) -> None:
    assert folder.missing(clip) == (0, 1, 2, 3, 4)
    for i in (0, 3):
        folder.write(clip, i, np.zeros(SIZE, np.uint8))
    (folder.root / "first" / ".tmp-00000009.png").write_bytes(b"")
    assert folder.missing(clip) == (1, 2, 4)


def test_bad_predictions_are_refused(clip: Clip, folder: PredictionFolder) -> None:
    path = folder.path(clip, 1)
    with pytest.raises(DataError, match=r"predictions/first/00000009.png: no such file; check"):
        folder.read(clip, 1)
    path.parent.mkdir(parents=True)
    Image.new("L", (30, 24)).save(path)
    with pytest.raises(DataError, match=r"00000009.png: is 24x30 .* but .* is 24x32; .* nearest$"):
        folder.read(clip, 1)
    Image.new("L", (32, 24), 7).save(path)
    with pytest.raises(DataError, match=r"00000009.png: label 7 .*; check that the predictions"):
        folder.read(clip, 1)
    Image.new("RGB", (32, 24)).save(path)
    with pytest.raises(DataError, match=r"00000009.png: 8-bit RGB PNG .*; write label values"):
        folder.read(clip, 1)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"00000009.png: empty file \(0 bytes\); "):
        folder.read(clip, 1)


def npz(**arrays: np.ndarray) -> bytes:
    """The bytes of an `.npz` file."""
    stream = BytesIO()
    np.savez(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


GOOD = np.full((3, 2, 2), 0.25, np.float16)
BAD_NPZ = {
    "empty": (b"", r"empty file \(0 bytes\)"),
    "not a zip": (b"PNG", "not readable as .npz"),
    "bare array": (npz(probabilities=GOOD)[40:], "not readable as .npz"),
    "truncated": (npz(probabilities=GOOD)[:-30], "not readable as .npz"),
    "other key": (npz(scores=GOOD), "not readable as .npz .*probabilities"),
    "pickle": (npz(probabilities=np.array([{}])), "not readable as .npz .*allow_pickle=False"),
    "float32": (npz(probabilities=GOOD.astype(np.float32)), r"holds float32 \(3, 2, 2\), not"),
    "classes": (npz(probabilities=GOOD[:2]), r"holds float16 \(2, 2, 2\), not float16 \(3, h, w\)"),
    "logits": (npz(probabilities=GOOD * 8), "holds values outside 0..1"),
    "NaN": (npz(probabilities=GOOD * np.float16("nan")), "holds values outside 0..1"),
    "no pixels": (npz(probabilities=GOOD[:, :0]), "holds values outside 0..1, or none"),
}


@pytest.mark.parametrize(("data", "message"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_probabilities_are_refused(
    clip: Clip, folder: PredictionFolder, data: bytes, message: str
) -> None:
    path = folder.probabilities_path(clip, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"00000008.npz: {message}.*; (write|likely)") as error:
        folder.read_probabilities(clip, 0)
    assert "\n" not in str(error.value)


def test_nothing_bad_is_written(clip: Clip, folder: PredictionFolder) -> None:
    good = np.zeros(SIZE, np.uint8)
    with pytest.raises(DataError, match="is 24x31"):
        folder.write(clip, 0, good[:, 1:])
    with pytest.raises(DataError, match="label 3 "):
        folder.write(clip, 0, good + np.uint8(3))
    with pytest.raises(SettingsError, match=r"labels for .* are int64; convert them to uint8"):
        folder.write(clip, 0, good.astype(np.int64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=r"00000008.npz: holds float16 \(2, 2, 2\)"):
        folder.write(clip, 0, good, GOOD[:2])
    assert not folder.root.exists()


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="label_offset is 2; it must be 0 or 1"):
        PredictionFolder(Path(), 3, 2)
    with pytest.raises(SettingsError, match="num_classes is 300"):
        PredictionFolder(Path(), 300)


def test_an_interrupted_write_leaves_the_frame_to_do(
    clip: Clip, folder: PredictionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros(SIZE, np.uint8)
    folder.write(clip, 0, labels, GOOD)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("sam2vss_lib.predictions.folder.write_label_image", fail)
    with pytest.raises(OSError, match="disk full"):
        folder.write(clip, 0, labels, GOOD)
    assert 0 in folder.missing(clip)


def test_real_ground_truth_as_predictions(shared_data: Path, folder: PredictionFolder) -> None:
    dataset = open_dataset(shared_data / "camvid", "val")
    clip = dataset.clips[0]
    folder = PredictionFolder(folder.root, dataset.num_classes)
    folder.write(clip, 0, clip.ground_truth(0))
    np.testing.assert_array_equal(folder.read(clip, 0), clip.ground_truth(0))
