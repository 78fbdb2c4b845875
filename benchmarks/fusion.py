"""What weighing evidence costs: `refine --vote adaptive` beside the window vote."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.evaluate import SIZE_PX, write_clips
from benchmarks.rows import side_by_side
from benchmarks.versions import write_masklets
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_CLASSES = 124
_MAP_PX = (60, 107)  # of the probabilities


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """VSPW's size and classes, 30 masklets, one thread: evidence and rule within twice the vote."""
    frames = 8 if quick else 50
    torch.set_num_threads(1)
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        root = Path(folder)
        write_clips(root, 1, frames)
        store = MaskletStore(write_masklets(root / "masklets", 1, frames))
        dataset = open_dataset(root, "val")
        base = PredictionFolder(root / "base", _CLASSES)
        _write_probabilities(dataset, base)
        yield from side_by_side(
            lambda: _refined(dataset, base, store, "adaptive"),
            {"window vote": lambda: _refined(dataset, base, store, "masklet")},
            repeats=repeats,
            warm_up=not quick,
            least_ratio=1 / 3,
            section="fusion",
            case=f"adaptive vote, {frames} frames of {SIZE_PX[0]}x{SIZE_PX[1]}, 30 masklets",
            frames=frames,
        )


def _write_probabilities(dataset: Dataset, base: PredictionFolder) -> None:
    """Most of the probability for the label, the rest for two others."""
    random = np.random.default_rng(0)
    for clip in dataset:
        down, across = (
            np.arange(n) * size // n for n, size in zip(_MAP_PX, clip.size, strict=True)
        )
        for index in range(clip.num_frames):
            labels = base.read(clip, index)
            coarse = labels[down[:, None], across]
            chances = np.zeros((_CLASSES, *_MAP_PX), np.float32)
            sure = random.uniform(0.5, 1, _MAP_PX)
            for share, other in ((sure, 0), ((1 - sure) * 0.7, 1), ((1 - sure) * 0.3, 2)):
                place = ((coarse + np.uint8(other)) % _CLASSES)[None].astype(np.intp)
                np.put_along_axis(chances, place, share[None], 0)
            base.write(clip, index, labels, chances.astype(np.float16))


def _refined(dataset: Dataset, base: PredictionFolder, store: MaskletStore, vote: str) -> None:
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        out = PredictionFolder(Path(folder), _CLASSES)
        refine(dataset, base, store, out, RefineSettings(vote=vote))
