"""Refining and evaluating on the card: the same as on its machine's processor, and how fast."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.evaluate import SIZE_PX, write_clips
from benchmarks.gpu.cases import Case, Scale, watched
from benchmarks.versions import write_masklets
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison
from sam2vss_lib.study.stages.evaluation import count_predictions

Work = Callable[[Dataset, PredictionFolder, MaskletStore, str], Any]


def refine_and_evaluate(scale: Scale) -> Iterator[Case]:
    """Frames of VSPW's size and classes, 30 masklets, all metrics."""

    def rows(name: str, work: Work) -> Iterator[Comparison]:
        frames = 6 if scale.is_tiny else 50
        with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
            root = Path(folder)
            write_clips(root, 1, frames)
            dataset, store = open_dataset(root, "val"), MaskletStore(root / "masklets")
            write_masklets(store.root, 1, frames)
            base = PredictionFolder(root / "base", dataset.num_classes)
            found: dict[str, Any] = {}
            for device in ("cpu", str(scale.device), str(scale.device)):  # the first warms up
                with watched(scale.device) as took:
                    found[device] = work(dataset, base, store, device)
        same = _alike(found["cpu"], found[str(scale.device)])
        yield Comparison(
            "gpu",
            f"{name}, {frames} frames of {SIZE_PX[0]}x{SIZE_PX[1]}",
            "",
            "frames/s",
            frames / took.seconds,
            frames=frames,
            ours_peak_mib=took.peak_mib,
            target="the same as on the processor",
            met=same,
        )

    yield Case("refine", partial(rows, "refine, 30 masklets", _refined))
    yield Case("evaluate", partial(rows, "evaluate, all metrics", _evaluated))


def _refined(dataset: Dataset, base: PredictionFolder, store: MaskletStore, device: str) -> Any:
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        out = PredictionFolder(Path(folder), base.num_classes)
        refine(dataset, base, store, out, device=device)
        (clip,) = dataset
        return np.stack([out.read(clip, index) for index in range(clip.num_frames)])


def _evaluated(dataset: Dataset, base: PredictionFolder, store: MaskletStore, device: str) -> Any:
    return count_predictions(dataset, base, device=device).compute(samples=1).metrics


def _alike(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a == b
