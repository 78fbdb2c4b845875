"""What the check of a card is made of: its sizes, and cases that are run one by one."""

import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from benchmarks.inputs import demo_clip, official_architecture
from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

FAILED = "failed"  # in place of a unit


@dataclass(frozen=True)
class Case:
    """One thing that is measured."""

    name: str
    rows: Callable[[], Iterable[Comparison]]


@dataclass(frozen=True)
class Scale:
    """How much is measured: what a card can do in minutes, or the least that runs everything.

    Attributes:
        models: names for `model`, the most important first.
        counts: numbers of objects, likewise.
        frames: of each clip.
    """

    device: torch.device
    models: tuple[str, ...]
    counts: tuple[int, ...]
    frames: int
    clips: int
    size_px: tuple[int, int]
    points_per_side: int
    precision: str
    is_tiny: bool


def scale_of(device: torch.device, *, quick: bool) -> Scale:
    """VSPW's size and the paper's grid for a card; the least that runs everything elsewhere."""
    if device.type == "cuda" and not quick:
        full = (480, 853)
        return Scale(device, ("l", "t"), (30, 128, 1), 32, 2, full, 16, "bfloat16", is_tiny=False)
    return Scale(device, ("demo",), (3, 1), 3, 1, (120, 160), 4, "float32", is_tiny=True)


@cache
def model(name: str, device: torch.device) -> Sam2Model:
    """The demo's, or an official architecture with random weights."""
    if name == "demo":
        return load_sam2("demo", device=device)
    return official_architecture(name, image_size=1024, device=str(device))


@contextmanager
def clips(scale: Scale, frames: int, count: int = 1) -> Generator[Dataset]:
    """Clips of so many frames in the scale's size: pictures of the demo, enlarged, as JPEG."""
    pictures = _pictures(scale.frames, scale.size_px)
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        found: list[Clip] = []
        for number in range(count):
            names = tuple(f"{index:08d}.jpg" for index in range(frames))
            found.append(Clip(f"clip_{number}", Path(folder), names))
            found[-1].frame_path(0).parent.mkdir(parents=True)
            for index in range(frames):
                found[-1].frame_path(index).write_bytes(pictures[index % len(pictures)])
        yield Dataset(Path(folder), "val", tuple(found), None, None)


@cache
def _pictures(count: int, size_px: tuple[int, int]) -> list[bytes]:
    """Files of the demo's frames in another size."""
    found: list[bytes] = []
    height, width = size_px
    with demo_clip(count) as demo:
        for index in range(count):
            file, picture = BytesIO(), Image.fromarray(demo.clips[0].frame(index))
            picture.resize((width, height)).save(file, "JPEG", quality=90)
            found.append(file.getvalue())
    return found


@dataclass
class Watched:
    """What a block took."""

    seconds: float = 0.0
    peak_mib: float | None = None  # of the card's memory
    power_w: float | None = None  # its mean, where it can be read


@contextmanager
def watched(device: torch.device) -> Generator[Watched]:
    """Time, memory and power of what runs in the block, the card's work included."""
    found, done, readings = Watched(), threading.Event(), list[float]()

    def watch() -> None:
        while not done.wait(0.2):
            try:
                readings.append(torch.cuda.power_draw(device) / 1000)
            except Exception:  # no permission, or not the package that reads it
                return

    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
        threading.Thread(target=watch, daemon=True).start()
    started = time.perf_counter()
    try:
        yield found
        wait_for(device)
        found.seconds = time.perf_counter() - started
    finally:
        done.set()
    if cuda:
        found.peak_mib = torch.cuda.max_memory_allocated(device) / 2**20
        found.power_w = float(np.mean(readings)) if readings else None


def objects_of(count: int) -> str:
    """A number of objects in words."""
    return f"{count} object{'s' * (count > 1)}"


def wait_for(device: torch.device) -> None:
    """Until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def failed(case: str, why: str) -> Comparison:
    """A row in place of those that there would be."""
    return Comparison("gpu", case, "", FAILED, 0.0, note=why)
