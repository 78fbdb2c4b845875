"""`data verify` beside a plain parallel decode of the same files, on a tree of VSPW's size."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.rows import side_by_side
from sam2vss_lib.datasets import verify_dataset
from sam2vss_lib.parallel.processes import map_in_processes
from sam2vss_lib.storage.places import manifest_path
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

MOST_TIMES_DECODING = 1.3
_SIZE_PX = (32, 48)  # tiny: what verification adds to decoding weighs most there


def run(*, quick: bool, repeats: int, workers: int = 2) -> Iterator[Comparison]:
    """VSPW val's 343 clips of 71 frames and masks; with `quick` 20 clips, in both one process."""
    clips, frames = (20, 71) if quick else (343, 71)
    workers = 1 if quick else workers
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        root = Path(folder)
        names = write_tree(root, clips, frames)
        yield from side_by_side(
            lambda: verify_dataset(root, "val", workers=workers),
            {"decoding alone": lambda: decode_all(root, names, workers)},
            repeats=repeats,
            least_ratio=1 / MOST_TIMES_DECODING,
            section="verify",
            case=f"{clips} clips of {frames} frames and masks, {workers} processes",
            frames=clips * frames,
        )


def write_tree(root: Path, clips: int, frames: int) -> list[str]:
    """Write a data set in VSPW layout with VSPW's classes; returns the names of its clips."""
    rng = np.random.default_rng(0)
    height, width = _SIZE_PX
    names = [f"{index}_clip" for index in range(clips)]
    for name in names:
        origin, mask = root / "data" / name / "origin", root / "data" / name / "mask"
        origin.mkdir(parents=True)
        mask.mkdir()
        for frame in range(1, frames + 1):
            coarse = Image.fromarray(rng.integers(0, 255, (4, 6, 3), np.uint8))
            coarse.resize((width, height)).save(origin / f"{frame:08d}.jpg")
            labels = Image.fromarray(rng.integers(0, 125, (4, 6), np.uint8))
            labels.resize((width, height), Image.Resampling.NEAREST).save(mask / f"{frame:08d}.png")
    (root / "val.txt").write_text("\n".join(names))
    classes = json.loads(manifest_path("vspw_classes.json").read_text(encoding="utf-8"))
    (root / "classes.json").write_text(json.dumps(classes))
    return names


def decode_all(root: Path, names: list[str], workers: int) -> int:
    """Decode every frame and mask into an array and look at nothing; returns their number."""
    return sum(map_in_processes(partial(_decode_clip, root), names, workers=workers, what="decode"))


def _decode_clip(root: Path, name: str) -> int:
    count = 0
    for path in sorted((root / "data" / name).rglob("0*")):
        with Image.open(path) as image:
            np.asarray(image)
        count += 1
    return count
