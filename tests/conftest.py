"""Fixtures shared by all tests: a tiny data set and the real data, where they are present."""

import json
import os
from pathlib import Path

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):  # before torch is loaded
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder

# a busy machine must not fail a test; the same examples on every machine
settings.register_profile("everywhere", deadline=None, derandomize=True)
settings.load_profile("everywhere")

TINY_CLIPS = ("first", "second")
TINY_CLASSES = ("sky", "road", "car")
TINY_FRAMES = tuple(f"{n:08d}" for n in range(8, 13))  # the numbers of a cut clip: no start at 0
TINY_SIZE = (24, 32)  # (height, width)


@pytest.fixture
def tiny_vspw(tmp_path: Path) -> Path:
    """Root of a data set of 2 clips x 5 frames: sky over road, a car that moves, a void strip."""
    root = tmp_path / "tiny"
    height, width = TINY_SIZE
    for c, clip in enumerate(TINY_CLIPS):
        origin, mask = root / "data" / clip / "origin", root / "data" / clip / "mask"
        origin.mkdir(parents=True)
        mask.mkdir()
        for t, frame in enumerate(TINY_FRAMES):
            values = np.full((height, width), 1, np.uint8)
            values[10:] = 2
            values[12:20, 4 + 3 * t : 12 + 3 * t] = 3
            values[-2:], values[:, :1] = 0, 255
            colours = np.zeros((256, 3), np.uint8)
            colours[[1, 2, 3]] = (90, 150, 230), (110, 110, 110), (200, 40 + 60 * c, 40)
            Image.fromarray(colours[values]).save(origin / f"{frame}.jpg", quality=90)
            Image.fromarray(values).save(mask / f"{frame}.png")
    (root / "val.txt").write_text("\n".join(TINY_CLIPS))  # no final newline, as published
    classes = {str(k): name for k, name in enumerate(TINY_CLASSES, start=1)}
    (root / "classes.json").write_text(json.dumps(classes))
    return root


@pytest.fixture
def perfect_predictions(tiny_vspw: Path) -> Path:
    """Ground truth of `tiny_vspw` as predictions; they need the label offset 1."""
    folder = tiny_vspw.parent / "truth"
    for mask in tiny_vspw.glob("data/*/mask/*.png"):
        out = folder / mask.parent.parent.name / mask.name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(mask.read_bytes())
    return folder


@pytest.fixture
def moved_predictions(tiny_vspw: Path, tmp_path: Path) -> PredictionFolder:
    """Ground truth of `tiny_vspw` moved by two pixels, as predictions of 0..C-1."""
    dataset = open_dataset(tiny_vspw, "val")
    folder = PredictionFolder(tmp_path / "base", dataset.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            truth = clip.ground_truth(i)
            folder.write(clip, i, np.roll(np.where(truth == 255, 0, truth), 2, axis=1))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the repository; tests that need it are skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no shared/data folder beside the repository")
    return folder
