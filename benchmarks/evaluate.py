"""`sam2vss evaluate` beside a plain script for four of its numbers, each a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.rows import side_by_side
from sam2vss_lib.storage.places import manifest_path
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

SIZE_PX = (480, 853)
_NUM_CLASSES = 124


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """Clips of 50 frames with VSPW's size and classes; one thread each, start-up included."""
    clips, frames = (1, 20) if quick else (4, 50)
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        root = Path(folder)
        write_clips(root, clips, frames)
        yield from side_by_side(
            lambda: evaluate(root),
            {"a confusion matrix, VC8 and VC16": lambda: plain(root)},
            repeats=repeats,
            warm_up=not quick,
            least_ratio=1.0,
            section="evaluate",
            case=f"{clips * frames} frames of {SIZE_PX[0]}x{SIZE_PX[1]}, all metrics",
            frames=clips * frames,
            mean_iou=lambda ours, theirs: float(np.allclose(ours, theirs, atol=1e-9, rtol=0)),
            note="mean IoU is 1 where both find the same numbers",
        )


def write_clips(root: Path, clips: int, frames: int) -> None:
    """A VSPW layout: a dozen classes in moving regions, and predictions with shifted outlines."""
    height, width = SIZE_PX
    for clip in range(clips):
        random = np.random.default_rng(clip)
        mask, labels = root / "data" / f"{clip}_clip" / "mask", root / "base" / f"{clip}_clip"
        origin = mask.with_name("origin")
        for made in (mask, labels, origin):
            made.mkdir(parents=True)
        classes = random.choice(_NUM_CLASSES, 12, replace=False).astype(np.uint8)
        cells = random.choice(classes, (12, 20))
        coarse = np.asarray(Image.fromarray(cells).resize((width + 200, height), 0))
        rows = np.arange(height)[:, None]
        waves = (12 * np.sin(rows / 17 + np.arange(width + 200) / 31)).astype(int)
        scene = coarse[(rows + waves) % height, np.arange(width + 200)]
        for frame in range(frames):
            truth = scene[:, frame : frame + width]
            guess = np.roll(truth, random.integers(-3, 4), axis=random.integers(0, 2))
            guess[: height // 6, : width // 4] = classes[0]
            values = truth + np.uint8(1)
            values[-4:] = 0
            name = f"{frame:08d}"
            Image.new("RGB", (width, height)).save(origin / f"{name}.jpg")
            Image.fromarray(values).save(mask / f"{name}.png")
            Image.fromarray(guess).save(labels / f"{name}.png")
    (root / "val.txt").write_text("\n".join(f"{clip}_clip" for clip in range(clips)))
    (root / "classes.json").write_bytes(manifest_path("vspw_classes.json").read_bytes())


def evaluate(root: Path) -> list[float]:
    """MIoU, mVC8 and mVC16 by the command."""
    out = root / "metrics.json"
    command = ["-m", "sam2vss_lib.cli", "evaluate", "--dataset", root, "--device", "cpu"]
    _run(*command, "--predictions", root / "base", "--out", out)
    metrics = json.loads(out.read_text())["metrics"]
    return [metrics["mIoU"], metrics["mVC8"], metrics["mVC16"]]


def plain(root: Path) -> list[float]:
    """The same by the script."""
    found = _run("-m", "benchmarks.plain_metrics", root, root / "base", _NUM_CLASSES)
    return [float(number) for number in found.split()]


def _run(*arguments: str | Path | int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout
