"""Hard clips: where masklets or base models are wrong on purpose, adaptive does no harm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segment import segment
from sam2vss_lib.study.stages.evaluation import count_predictions
from tests.masklets.common import write_masklets

CLASSES, FRAMES = 12, 6
Masks = np.ndarray  # (T, n, H, W) bool


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, PredictionFolder]:
    """Two generated clips, and what a small base model with probabilities says of them."""
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=60_001, clips=2, frames=FRAMES)})
    dataset = open_dataset(root, "val")
    base = PredictionFolder(tmp_path_factory.mktemp("base"), CLASSES)
    segment(dataset, load_segmentor("segformer-micro"), base, save_probabilities=True)
    return dataset, base


def true_masks(dataset: Dataset, index: int) -> Masks:
    """A mask of every class that a clip has, on every frame."""
    clip = dataset.clips[index]
    truth = np.stack([clip.ground_truth(i) for i in range(FRAMES)])
    return np.stack([truth == label for label in np.unique(truth) if label < CLASSES], 1)


def in_blocks(masks: Masks) -> Masks:
    """Masklets that span classes: a chessboard of 60 px."""
    _, _, height, width = masks.shape
    y, x = np.mgrid[:height, :width] // 60
    return np.stack([np.broadcast_to((y == i) & (x == j), (len(masks), height, width))
                     for i in range(height // 60) for j in range(width // 60)], 1)  # fmt: skip


def drifting(masks: Masks) -> Masks:
    """Masklets that run off by 12 px a frame."""
    return np.stack([np.roll(frame, 12 * t, axis=-1) for t, frame in enumerate(masks)])


def overlapping(masks: Masks) -> Masks:
    """Every masklet with all that is 16 px around it, so that they cover each other."""
    grown = masks
    for axis in (-1, -2):
        grown = np.logical_or.reduce([np.roll(grown, d, axis) for d in range(-16, 17, 4)])
    return grown


def noisy(masks: Masks) -> Masks:
    """Random rectangles, which have nothing to do with the picture."""
    rng, found = np.random.default_rng(0), np.zeros_like(masks)
    for n in range(found.shape[1]):
        y, x = rng.integers(0, 160), rng.integers(0, 220)
        found[:, n, y : y + rng.integers(30, 80), x : x + rng.integers(30, 100)] = True
    return found


def score(dataset: Dataset, predictions: PredictionFolder) -> float:
    suite: MetricSuite = count_predictions(dataset, predictions)
    return float(suite.compute(samples=1).metrics["mIoU"] or 0)


@pytest.mark.parametrize("spoil", [in_blocks, drifting, overlapping, noisy])
def test_spoilt_masklets_do_no_harm(
    world: tuple[Dataset, PredictionFolder], tmp_path: Path, spoil: Callable[[Masks], Masks]
) -> None:
    dataset, base = world
    store = MaskletStore(tmp_path / "masklets")
    for index, clip in enumerate(dataset):
        masks = spoil(true_masks(dataset, index))
        scores = np.full((2, masks.shape[1]), 0.9, np.float32)
        write_masklets(store, clip.name, [masks], [scores])
    before = score(dataset, base)
    found: dict[str, Any] = {}
    for vote in ("masklet", "adaptive"):
        out = PredictionFolder(tmp_path / vote, CLASSES)
        refine(dataset, base, store, out, RefineSettings(vote=vote))
        found[vote] = score(dataset, out) - before
    assert found["masklet"] < -1, found  # hard indeed
    assert found["adaptive"] > -0.2, found


@pytest.mark.parametrize("power", [0.5, 3.0])
def test_a_base_model_too_sure_or_unsure_still_gains_by_good_masklets(
    world: tuple[Dataset, PredictionFolder], tmp_path: Path, power: float
) -> None:
    dataset, base = world
    store, bent = MaskletStore(tmp_path / "m"), PredictionFolder(tmp_path / "bent", CLASSES)
    for index, clip in enumerate(dataset):
        masks = true_masks(dataset, index)
        write_masklets(store, clip.name, [masks], [np.full((2, masks.shape[1]), 0.9, np.float32)])
        for i in range(FRAMES):
            raw = base.read_probabilities(clip, i)
            assert raw is not None
            sharp = raw.astype(np.float64) ** power
            chances = (sharp / sharp.sum(0)).astype(np.float16)
            bent.write(clip, i, base.read(clip, i), chances)
    out = PredictionFolder(tmp_path / "out", CLASSES)
    refine(dataset, bent, store, out, RefineSettings(vote="adaptive", temperature=power))
    assert score(dataset, out) > score(dataset, base) + 2


@pytest.mark.parametrize(("kind", "points"), [("good", 2.0), ("mid", 4.0)])
def test_on_real_video_adaptive_is_above_the_window_vote(
    shared_data: Path, tmp_path: Path, kind: str, points: float
) -> None:
    dataset = open_dataset(shared_data / "camvid", "val")
    base = PredictionFolder(shared_data / "camvid_base", 11)
    store, found = MaskletStore(shared_data / "camvid_masklets" / kind), {}
    for vote in ("masklet", "adaptive"):
        out = PredictionFolder(tmp_path / vote, 11)
        refine(dataset, base, store, out, RefineSettings(vote=vote))
        found[vote] = score(dataset, out)
    assert found["adaptive"] > found["masklet"] + points, found
