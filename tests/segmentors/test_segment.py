"""The stage: files, resuming, and what it refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam2vss_lib.datasets import Clip, open_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.segmentors.segformer.segformer import SegFormer
from sam2vss_lib.segmentors.segment import segment
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.storage.records import RECORD_NAME


@pytest.fixture
def out(tmp_path: Path) -> PredictionFolder:
    return PredictionFolder(tmp_path / "predictions", num_classes=3)


def times(out: PredictionFolder) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.root.rglob("*") if path.is_file()}


def test_writes_what_the_model_predicts(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    dataset, seen = open_dataset(tiny_vspw, "val"), list[str]()
    assert segment(dataset, tiny_segformer, out, progress=seen.append) == 0
    assert seen == [clip.name for clip in dataset]
    for clip in dataset:
        assert out.missing(clip) == ()
        assert not list((out.root / clip.name).glob("*.npz"))
        batch = torch.from_numpy(np.stack([clip.frame(4)]))  # alone in the second batch
        expected = tiny_segformer.predict(batch).labels[0].numpy()
        np.testing.assert_array_equal(out.read(clip, 4), expected)


def test_probabilities_are_saved_when_wanted(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    dataset = open_dataset(tiny_vspw, "val").take(1)
    segment(dataset, tiny_segformer, out, save_probabilities=True)
    probabilities = out.read_probabilities(dataset.clips[0], 0)
    assert probabilities is not None
    assert probabilities.shape == (3, 8, 8)
    np.testing.assert_allclose(probabilities.astype(np.float32).sum(0), 1, atol=1e-3)


def test_finished_clips_are_not_computed_again(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    segment(dataset.take(1), tiny_segformer, out)
    before = times(out)
    assert segment(dataset, tiny_segformer, out) == 1
    after = times(out)
    assert {path: after[path] for path in before} == before
    assert len(after) == 2 * len(before)


@pytest.mark.parametrize("suffix", [".png", ".npz"])
def test_a_lost_file_is_made_again(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder, suffix: str
) -> None:
    dataset = open_dataset(tiny_vspw, "val").take(1)
    segment(dataset, tiny_segformer, out, save_probabilities=True)
    lost = out.path(dataset.clips[0], 2).with_suffix(suffix)
    content = lost.read_bytes()
    lost.unlink()
    assert segment(dataset, tiny_segformer, out, save_probabilities=True) == 0
    assert lost.read_bytes() == content
    assert segment(dataset, tiny_segformer, out, save_probabilities=True) == 1


def test_predictions_made_from_something_else_are_refused(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    segment(dataset, tiny_segformer, out)
    before = times(out)
    with pytest.raises(DataError, match="made with other inputs: model is tiny, not other"):
        segment(dataset, replace(tiny_segformer, name="other"), out)
    with pytest.raises(DataError, match=r"first: .*: checkpoint_sha256 is .*; use another --out"):
        segment(dataset, replace(tiny_segformer, checkpoint_sha256="0" * 64), out)
    reduced = InferenceOptions(precision="bfloat16")
    with pytest.raises(DataError, match=r"options\.precision is float32, not bfloat16"):
        segment(dataset, replace(tiny_segformer, options=reduced), out)
    with pytest.raises(DataError, match="save_probabilities is False, not True"):
        segment(dataset, tiny_segformer, out, save_probabilities=True)
    dataset.clips[0].frame_path(1).write_bytes(dataset.clips[1].frame_path(1).read_bytes())
    with pytest.raises(DataError, match="frames_sha256 is"):
        segment(dataset, tiny_segformer, out)
    assert times(out) == before


def test_an_interrupted_clip_is_done_again_and_others_files_are_refused(
    tiny_vspw: Path,
    tiny_segformer: SegFormer,
    out: PredictionFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = open_dataset(tiny_vspw, "val").take(1)
    clip = dataset.clips[0]
    write = PredictionFolder.write

    def interrupted(self: PredictionFolder, clip: Clip, i: int, *rest: Any) -> None:
        if i == 2:
            raise KeyboardInterrupt
        write(self, clip, i, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionFolder, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            segment(dataset, tiny_segformer, out)
    assert out.missing(clip) == (2, 3, 4)
    record = out.root / clip.name / RECORD_NAME
    record.rename(out.root / "kept")
    with pytest.raises(DataError, match=r"first: holds files of unknown origin, such as 0+8\.png"):
        segment(dataset, tiny_segformer, out)
    assert out.missing(clip) == (2, 3, 4)
    (out.root / "kept").rename(record)
    assert segment(dataset, tiny_segformer, out) == 0
    assert out.missing(clip) == ()
    assert segment(dataset, tiny_segformer, out) == 1


def test_an_unreadable_frame_leaves_nothing_of_its_clip(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    dataset = open_dataset(tiny_vspw, "val").take(1)
    # the last frame, behind the first batch of predictions
    tiny_segformer = replace(tiny_segformer, options=InferenceOptions(batch_frames=2))
    dataset.clips[0].frame_path(4).write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        segment(dataset, tiny_segformer, out)
    assert not list(out.root.rglob("*.*"))


def test_another_number_of_classes_is_refused(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    with pytest.raises(SettingsError, match=r"tiny has 3 classes but the prediction folder .* 4"):
        segment(dataset, tiny_segformer, replace(out, num_classes=4))
    (tiny_vspw / "classes.json").unlink()
    with pytest.raises(SettingsError, match=r"model tiny has 3 classes but the data set .* has 5;"):
        segment(open_dataset(tiny_vspw, "val", num_classes=5), tiny_segformer, out)
    assert not out.root.exists()


def test_footage_without_a_class_list(
    tiny_vspw: Path, tiny_segformer: SegFormer, out: PredictionFolder
) -> None:
    (tiny_vspw / "classes.json").unlink()
    assert segment(open_dataset(tiny_vspw, "val"), tiny_segformer, out) == 0
