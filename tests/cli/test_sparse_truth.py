"""Ground truth of some frames only, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2vss_lib.datasets import open_dataset, verify_dataset
from sam2vss_lib.datasets.converting.conversion import convert_dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.isam2.features.extract import sample_frames
from sam2vss_lib.predictions.folder import PredictionFolder
from tests.test_cli import MASKLETS, call, refused

KEPT = "00000010"


@pytest.fixture
def sparse(tiny_vspw: Path) -> Path:
    """The tiny data set with one mask a clip."""
    for mask in tiny_vspw.glob("data/*/mask/*.png"):
        if mask.stem != KEPT:
            mask.unlink()
    return tiny_vspw


@pytest.fixture
def predictions(sparse: Path, tmp_path: Path) -> Path:
    """Predictions of all frames, right wherever there is ground truth."""
    dataset = open_dataset(sparse, "val")
    folder = PredictionFolder(tmp_path / "base", dataset.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            folder.write(clip, i, clip.ground_truth(clip.annotated[0]))
    return folder.root


def test_a_clip_says_which_frames_are_annotated(sparse: Path) -> None:
    clip = open_dataset(sparse, "val").clip("first")
    assert (clip.annotated, clip.has_ground_truth, clip.num_frames) == ((2,), True, 5)
    assert clip.mask_files == (None, None, f"{KEPT}.png", None, None)
    assert clip.ground_truth(2).shape == clip.size
    with pytest.raises(DataError, match=r"first/mask: no mask for frame 00000008.jpg; ask for"):
        clip.ground_truth(0)


def test_stages_without_ground_truth_never_look_for_masks(
    sparse: Path, predictions: Path, tmp_path: Path
) -> None:
    for mask in sparse.glob("data/*/mask/*.png"):
        mask.write_bytes(b"not an image")
    data = ("--dataset", sparse)
    store, refined = tmp_path / "masklets", tmp_path / "refined"
    done = [
        call("masklets", *data, *MASKLETS, "--out", store),
        call("refine", *data, "--predictions", predictions, "--masklets", store, "--out", refined),
    ]
    (sparse / "classes.json").unlink()  # the model has others
    done.append(call("segment", *data, "--model", "segformer-micro", "--out", tmp_path / "own"))
    assert [result.exit_code for result in done] == [0, 0, 0], [r.output for r in done]
    assert len(list(refined.glob("*/*.png"))) == 10


def test_annotated_frames_are_scored_and_counted(
    sparse: Path, predictions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "metrics.json"
    arguments = ("evaluate", "--dataset", sparse, "--predictions", predictions, "--out", out)
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    reason = (
        "windows of 8 frames need longer clips, the longest has 1 frames (2 of 10 frames are "
        "annotated; a clip counts as long as its longest run of these)"
    )
    first, *reasons, last = done.stdout.splitlines()
    assert first == "mIoU 100.00  FWIoU 100.00  mBIoU 100.00  mVC8 -  mVC16 -"
    assert reasons == [f"mVC8: {reason}", f"mVC16: {reason.replace('of 8', 'of 16')}"]
    assert last == f"2 of 10 frames are annotated and scored; everything in {out}"
    written = json.loads(out.read_text())
    assert (written["frames"], written["annotated_frames"]) == (10, 2)
    assert written["metrics"]["mVC8"] is None
    assert written["notes"]["mVC8"] == reason
    # predictions of other frames do not matter, those of annotated ones must be there
    for path in predictions.glob("*/*.png"):
        if path.stem != KEPT:
            path.unlink()
    assert call(*arguments).exit_code == 0
    assert json.loads(out.read_text())["metrics"] == written["metrics"]
    (predictions / "second" / f"{KEPT}.png").unlink()
    refused(call(*arguments), 3, f"{KEPT}.png", "1 missing")


def test_verify_says_the_share(sparse: Path) -> None:
    report = verify_dataset(sparse, "val")
    assert report.ok
    assert (report.num_masks, report.annotated_share) == (2, 0.2)
    assert report.summary() == (
        f"{sparse}, split val: 2 clips, 10 frames, 2 masks (20.0% of the frames are annotated), "
        "0 faults"
    )
    published = verify_dataset(sparse, "val", expect="vspw")
    assert "8 of 10 frames have no mask" in published.faults[-1].problem


def test_masks_without_frames_are_faults(sparse: Path) -> None:
    mask = sparse / "data/first/mask" / f"{KEPT}.png"
    mask.rename(mask.with_name("other.png"))
    with pytest.raises(DataError, match=r"other.png: mask without a frame in .*; add the frame"):
        open_dataset(sparse, "val")
    assert len(verify_dataset(sparse, "val").faults) == 1


def test_conversion_keeps_sparse_masks(sparse: Path, tmp_path: Path) -> None:
    convert_dataset("vspw-480p", sparse, tmp_path / "480p")
    clip = open_dataset(tmp_path / "480p", "val").clip("second")
    assert (clip.num_frames, clip.annotated) == (5, (2,))
    assert clip.ground_truth(2).shape == (480, 640)


def test_training_frames_are_annotated_ones(tiny_vspw: Path) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    for clip, sampled in zip(dataset, sample_frames(dataset, 2), strict=True):
        assert sampled.frames == clip.frames[::2]
    for number in (8, 9, 11):
        (tiny_vspw / f"data/first/mask/{number:08d}.png").unlink()
    first, second = sample_frames(open_dataset(tiny_vspw, "val"), 2)
    assert (first.frames, first.annotated) == (("00000010", "00000012"), (0, 1))
    assert second.frames == ("00000008", "00000010", "00000012")
    assert np.array_equal(first.ground_truth(1), dataset.clip("first").ground_truth(4))


def test_a_blank_mask_is_annotated(sparse: Path) -> None:
    Image.new("L", (32, 24), 255).save(sparse / "data/first/mask/00000008.png")
    assert open_dataset(sparse, "val").clip("first").annotated == (0, 2)
