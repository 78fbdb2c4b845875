"""Propagation: the masks of sam2's own video predictor, and nothing left behind."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import tqdm
from PIL import ExifTags, Image
from sam2 import sam2_video_predictor
from sam2.utils import misc

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.engines.stock.propagation import FrameMasks, propagate
from sam2vss_lib.masklets.sam2 import Sam2Model


@pytest.fixture(scope="module")
def frames(small_world: Dataset) -> list[Path]:
    clip = small_world.clips[0]
    return [clip.frame_path(i) for i in range(3)]


@pytest.fixture(scope="module")
def masks(small_world: Dataset) -> np.ndarray:
    """The three largest classes of the first frame, and an empty mask."""
    truth = small_world.clips[0].ground_truth(0)
    largest = np.argsort(np.bincount(truth.ravel(), minlength=256)[:255])[::-1][:3]
    return np.stack([*(truth == label for label in largest), np.zeros_like(truth, bool)])


@pytest.fixture(scope="module")
def found(demo_model: Sam2Model, frames: list[Path], masks: np.ndarray) -> list[FrameMasks]:
    return list(propagate(demo_model, frames, masks))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_turned_frames_are_seen_upright(
    demo_model: Sam2Model, frames: list[Path], masks: np.ndarray, tmp_path: Path
) -> None:
    """sam2 reads the files itself and knows of no orientation."""
    upright, turned = (
        [tmp_path / f"{kind}{i}.png" for i in range(2)] for kind in ("upright", "turned")
    )
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for path, plain, lying in zip(frames, upright, turned, strict=False):
        image = Image.open(path)
        image.save(plain)
        image.transpose(Image.Transpose.ROTATE_90).save(lying, exif=exif)
    expected, found = (list(propagate(demo_model, paths, masks)) for paths in (upright, turned))
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.logits, other.logits)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_equal_to_direct_stock_calls(
    demo_model: Sam2Model, frames: list[Path], masks: np.ndarray, tmp_path: Path, precision: str
) -> None:
    for path in frames:
        shutil.copy(path, tmp_path)
    predictor = demo_model.predictor
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        state = predictor.init_state(str(tmp_path))
        for index, mask in enumerate(masks):
            predictor.add_new_mask(state, 0, index, mask)
        expected = list(predictor.propagate_in_video(state))
    found = list(propagate(demo_model, frames, masks, precision=precision))
    assert [part.offset for part in found] == [0, 1, 2]
    for part, (_, ids, logits) in zip(found, expected, strict=True):
        assert ids == [0, 1, 2, 3]
        assert part.logits.dtype == torch.float32
        assert torch.equal(part.logits, logits[:, 0].float())
        assert part.object_score.shape == (4,)
        assert part.object_score.dtype == np.float32


def test_anchor_shows_the_given_masks(masks: np.ndarray, found: list[FrameMasks]) -> None:
    shown = (found[0].logits > 0).numpy()
    assert shown.shape == masks.shape
    for given, mask in zip(masks[:3], shown[:3], strict=True):
        assert iou(given, mask) > 0.8  # stock SAM2 returns them through its own resolution
    assert not shown[3].any()
    assert (found[0].object_score[:3] > 0).all()
    assert found[0].object_score[3] < 0


def test_window_of_one_frame(
    demo_model: Sam2Model, frames: list[Path], masks: np.ndarray, found: list[FrameMasks]
) -> None:
    (only,) = propagate(demo_model, frames[:1], masks)
    assert only.offset == 0
    assert torch.equal(only.logits, found[0].logits)


def test_png_frames_are_read_as_well(
    demo_model: Sam2Model,
    frames: list[Path],
    masks: np.ndarray,
    found: list[FrameMasks],
    tmp_path: Path,
) -> None:
    copies = [tmp_path / f"{path.stem}.PNG" for path in frames]
    for path, copy in zip(frames, copies, strict=True):
        Image.open(path).save(copy)
    for part, same in zip(found, propagate(demo_model, copies, masks), strict=True):
        assert torch.equal(part.logits, same.logits)


def test_relative_paths(
    demo_model: Sam2Model, frames: list[Path], masks: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(frames[0].parent)
    assert len(list(propagate(demo_model, [Path(frames[0].name)], masks))) == 1


def test_bfloat16_gives_float32_and_nearly_the_same(
    demo_model: Sam2Model, frames: list[Path], masks: np.ndarray, found: list[FrameMasks]
) -> None:
    for part, exact in zip(
        propagate(demo_model, frames, masks[:1], precision="bfloat16"), found, strict=True
    ):
        assert part.logits.dtype == torch.float32
        assert part.object_score.dtype == np.float32
        assert iou((part.logits[0] > 0).numpy(), (exact.logits[0] > 0).numpy()) > 0.9


def test_nothing_shows_and_nothing_stays(
    demo_model: Sam2Model,
    frames: list[Path],
    masks: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    steps = propagate(demo_model, frames, masks[:1], precision="bfloat16")
    next(steps)
    assert not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")
    assert sam2_video_predictor.tqdm is misc.tqdm is tqdm.tqdm  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) == 1
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
