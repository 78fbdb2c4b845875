"""Models, clips and masks that the benchmarks work on: generated, the same everywhere."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module, resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from sam2vss_lib.datasets import Clip, Dataset, open_dataset
from sam2vss_lib.datasets.demo import DEMO_SPLITS, DemoSplit, write_demo
from sam2vss_lib.masklets.sam2 import _STOCK_OVERRIDES, Sam2Model, build_model

_LEGACY = "sam2.sam2_video_predictor_legacy"


@contextmanager
def demo_clip(frames: int) -> Generator[Dataset]:
    """The first frames of the demo's first validation clip, 240 x 320."""
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        split = DemoSplit(DEMO_SPLITS["val"].first_seed, 1, frames)
        write_demo(Path(folder), {"val": split})
        yield open_dataset(folder, "val")


@contextmanager
def repeated_clip(frames: int, size_px: tuple[int, int] = (120, 160)) -> Generator[Dataset]:
    """A long clip of little disk space: eight pictures, again and again."""
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        names = tuple(f"{index:08d}.png" for index in range(frames))
        clip = Clip("repeated", Path(folder), names)
        clip.frame_path(0).parent.mkdir(parents=True)
        y, x = np.mgrid[: size_px[0], : size_px[1]]
        for index in range(frames):
            if index >= 8:
                clip.frame_path(index).symlink_to(clip.frame_path(index % 8))
                continue
            image = np.stack([80 + x // 2, 140 - y // 2, 90 + (x + y) // 4], 2).astype(np.uint8)
            left = 20 + 8 * index
            image[30:80, left : left + 40] = (230, 40, 40)
            image[60:110, 100:140] = (30, 200, 60)
            Image.fromarray(image).save(clip.frame_path(index))
        yield Dataset(Path(folder), "val", (clip,), None, None)


def boxes(count: int, size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """(count, H, W) masks: boxes of a quarter of the frame's sides, anywhere."""
    rng, (height, width) = np.random.default_rng(0), size_px
    masks = np.zeros((count, height, width), bool)
    for mask in masks:
        y, x = rng.integers(0, 3 * height // 4), rng.integers(0, 3 * width // 4)
        mask[y : y + height // 4, x : x + width // 4] = True
    return masks


def official_architecture(name: str, *, image_size: int, device: str = "cpu") -> Sam2Model:
    """An architecture of the sam2 package with random weights, the same every time.

    Args:
        name: `t`, `s`, `b+` or `l` of SAM 2.1.
        image_size: side of the model's input in pixels; the published models have 1024.
        device: where to put it.
    """
    source = resources.files("sam2") / "configs" / "sam2.1" / f"sam2.1_hiera_{name}.yaml"
    node = cast(DictConfig, OmegaConf.load(str(source)))
    node = OmegaConf.merge(node["model"], _STOCK_OVERRIDES, {"image_size": image_size})
    torch.manual_seed(0)
    predictor = build_model(cast(DictConfig, node))
    predictor.fill_hole_area = 0
    title = f"SAM2.1-{name} architecture, {image_size} px"
    return Sam2Model(title, predictor.eval().to(device), "", "", torch.device(device))


def legacy_of(model: Sam2Model) -> Sam2Model | None:
    """A model in the wheel's legacy predictor, which batches objects; None where it has none."""
    try:
        kind = import_module(_LEGACY).SAM2VideoPredictor
    except ImportError:
        return None
    predictor = kind.__new__(kind)  # both predictors are the same modules, called differently
    predictor.__dict__ |= {**vars(model.predictor), "clear_non_cond_mem_for_multi_obj": False}
    return replace(model, predictor=predictor)


def matrix_rate_flops(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of a large matrix product, the most that a model can hope for."""
    cuda = device.type == "cuda"
    side, repeats = (8192, 20) if cuda else (1024, 10)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.matmul(a, b)
    if cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        torch.matmul(a, b)
    if cuda:
        torch.cuda.synchronize()
    return 2 * side**3 * repeats / (time.perf_counter() - started)
