"""The embedded image-text model: what words say on val clips of the demo, and what it holds."""

from pathlib import Path

import pytest
import torch

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DEMO_SPLITS, DemoSplit, write_demo
from sam2vss_lib.isam2.features import FeatureStore
from sam2vss_lib.isam2.words.model import DEMO
from sam2vss_lib.isam2.words.phrases import Phrases, class_phrases
from sam2vss_lib.isam2.words.segment import load_words
from sam2vss_lib.isam2.words.settings import LookSettings
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import MetricSuite, paired_gain
from sam2vss_lib.predictions.folder import PredictionFolder


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, MaskletStore]:
    """Six of the worlds of the val split, two frames of each, and their masklets."""
    root = tmp_path_factory.mktemp("val")
    write_demo(root / "data", {"val": DemoSplit(DEMO_SPLITS["val"].first_seed, 6, 2)})
    dataset, masklets = open_dataset(root / "data", "val"), MaskletStore(root / "masklets")
    settings = MaskletSettings(window=2, points_per_side=8)
    generate_masklets(dataset, load_sam2("demo"), settings, masklets.root)
    return dataset, masklets


def measured(
    val: tuple[Dataset, MaskletStore], phrases: Phrases, root: Path, name: str
) -> MetricSuite:
    dataset, masklets = val
    words = load_words("demo", phrases, LookSettings(frame_stride=2))
    out = PredictionFolder(root / name, dataset.num_classes)
    words.segment(dataset, masklets, FeatureStore(root / "features"), out)
    suite = MetricSuite(dataset.num_classes, window_lengths=(2,))
    for clip in dataset:
        for i in range(clip.num_frames):
            labels, truth = out.read(clip, i), clip.ground_truth(i)
            suite.update(clip.name, torch.from_numpy(labels), torch.from_numpy(truth))
    return suite


def test_words_beat_chance_by_more_than_the_interval(
    val: tuple[Dataset, MaskletStore], tmp_path: Path
) -> None:
    """Chance: every class has another's words, so that as many masklets get each word."""
    names = val[0].class_names or ()
    true = measured(val, class_phrases(names, None), tmp_path, "true")
    assert (true.compute(samples=2).metrics["mIoU"] or 0) > 35
    for shift in (1, 5, 7):
        wrong = {name: (names[(i + shift) % len(names)],) for i, name in enumerate(names)}
        gain = paired_gain(measured(val, wrong, tmp_path, f"wrong{shift}"), true)["mIoU"]
        assert gain.low is not None
        assert gain.low > 20, gain


def test_it_is_small_and_has_a_card() -> None:
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 6e6
    assert "--model demo" in (DEMO / "MODEL_CARD.md").read_text()
