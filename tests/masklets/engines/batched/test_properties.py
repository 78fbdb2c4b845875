"""The engine beside stock on clips of any size and length, and with few or no proposals."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from tests.masklets.common import read_plainly

SIDES_PX = st.integers(9, 150)
KEYS = ["window", "anchor", "masklet", "frame", "height", "width"]


@cache
def model() -> Sam2Model:
    return load_sam2("demo")


def write_clip(root: Path, size: tuple[int, int], frames: int, seed: int) -> Dataset:
    """A bright and a dark block that move over a shaded ground."""
    names = tuple(f"{t:08d}.png" for t in range(frames))
    clip = Clip("clip", root, names)
    rng, (h, w) = np.random.default_rng(seed), size
    y, x = np.mgrid[:h, :w] / [[[h]], [[w]]]
    corners, steps = rng.uniform(0.1, 0.6, (2, 2)), rng.uniform(-0.04, 0.04, (2, 2))
    for t in range(frames):
        image = np.stack([90 + 60 * x, 110 - 50 * y, 100 + 30 * x * y], 2)
        for (top, left), shade in zip(corners + t * steps, (235, 15), strict=True):
            inside = (y >= top) & (y < top + 0.3) & (x >= left) & (x < left + 0.3)
            image[inside] = shade, 255 - shade, 40
        path = clip.frame_path(t)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(path)
    return Dataset(root, "val", (clip,), None, None)


@settings(max_examples=10)
@given(
    size=st.tuples(SIDES_PX, SIDES_PX),
    frames=st.integers(1, 4),
    window=st.integers(1, 5),
    points_per_side=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@example(size=(97, 131), frames=5, window=3, points_per_side=2, seed=0)  # the last is shorter
@example(size=(64, 48), frames=1, window=4, points_per_side=2, seed=1)  # one frame
@example(size=(40, 61), frames=3, window=3, points_per_side=1, seed=2)  # few objects
def test_equals_stock(
    size: tuple[int, int], frames: int, window: int, points_per_side: int, seed: int
) -> None:
    chosen = MaskletSettings(
        window=window,
        points_per_side=points_per_side,
        pred_iou_thresh=0.05,
        stability_score_thresh=0.05,
    )
    with tempfile.TemporaryDirectory() as folder:
        stock, ours = both(Path(folder), size, frames, seed, chosen)
    assert ours[0][KEYS].equals(stock[0][KEYS])
    assert ours[0].dtypes.equals(stock[0].dtypes)
    for column in ("predicted_iou", "stability", "object_score"):
        # stock keeps memories in bfloat16: what differs in the last bit here may differ there
        np.testing.assert_allclose(ours[0][column], stock[0][column], atol=2e-2)
    for column in ("rle", "rle_visible"):
        a, b = ours[1][column], stock[1][column]
        assert a.shape == b.shape
        # a pixel of a small frame is a large share of it, so single pixels are forgiven
        assert (a != b).sum() <= max(2, 1e-4 * a.size)


@settings(max_examples=3)
@given(size=st.tuples(SIDES_PX, SIDES_PX), frames=st.integers(1, 3), seed=st.integers(0, 99))
def test_no_proposals(size: tuple[int, int], frames: int, seed: int) -> None:
    chosen = MaskletSettings(window=2, points_per_side=1, pred_iou_thresh=1.0)
    with tempfile.TemporaryDirectory() as folder:
        stock, ours = both(Path(folder), size, frames, seed, chosen)
    assert len(ours[0]) == len(stock[0]) == 0
    assert ours[0].dtypes.equals(stock[0].dtypes)


def both(
    folder: Path, size: tuple[int, int], frames: int, seed: int, chosen: MaskletSettings
) -> list:
    """Rows and masks by stock and by the engine."""
    dataset = write_clip(folder / "data", size, frames, seed)
    found = []
    for engine in ("stock", "batched"):
        asked = chosen.model_copy(update={"engine": engine})
        generate_masklets(dataset, model(), asked, folder / engine)
        found.append(read_plainly(folder / engine / "clip.parquet"))
    return found
