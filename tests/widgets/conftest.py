"""One generated clip with masklets of several thresholds and windows, made once for all tests."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.widgets.data import ExplorerData

LOOSE = MaskletSettings(
    window=3, points_per_side=6, pred_iou_thresh=0.2, stability_score_thresh=0.2
)
#: thresholds, predicted IoU and stability, of which SAM2 is run anew
THRESHOLDS = tuple((iou, s) for iou in (0.2, 0.5, 0.8) for s in (0.2, 0.6, 0.8, 0.9, 0.95))


def settings_at(pred_iou: float, stability: float, window: int = 3) -> MaskletSettings:
    """Settings that differ from `LOOSE` in thresholds and window alone."""
    changes = {"pred_iou_thresh": pred_iou, "stability_score_thresh": stability, "window": window}
    return MaskletSettings.model_validate({**LOOSE.model_dump(), **changes})


@dataclass(frozen=True)
class World:
    """A data set with everything that the explorer reads."""

    dataset: Dataset
    base: PredictionFolder
    fresh: dict[MaskletSettings, MaskletStore]  # a run of SAM2 each

    def data(self, *settings: MaskletSettings) -> ExplorerData:
        """For the explorer, which knows these stores only."""
        return ExplorerData(
            self.dataset,
            tuple(self.dataset.class_names or ()),
            {"Coarse": self.base},
            [self.fresh[one] for one in settings],
        )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root: Path = tmp_path_factory.mktemp("explored")
    write_demo(root / "data", {"val": DemoSplit(first_seed=5, clips=1, frames=5)})
    dataset = open_dataset(root / "data", "val")
    base = PredictionFolder(root / "base", dataset.num_classes)
    (clip,) = dataset
    rng = np.random.default_rng(0)
    for i in range(clip.num_frames):
        truth = clip.ground_truth(i)
        coarse = np.roll(np.where(truth == 255, 0, truth)[::8, ::8], 1, axis=1)
        labels = np.kron(coarse, np.ones((8, 8), np.uint8))
        labels[:16, :16] = 255
        scores = rng.random((dataset.num_classes, 30, 40)).astype(np.float16)
        base.write(clip, i, labels, scores)
    wanted = [settings_at(*thresholds) for thresholds in THRESHOLDS]
    wanted.append(settings_at(0.2, 0.2, window=5))
    fresh = {one: root / one.sha256()[:12] for one in wanted}
    generate_shared(dataset, load_sam2("demo"), fresh)
    return World(dataset, base, {one: MaskletStore(path) for one, path in fresh.items()})
