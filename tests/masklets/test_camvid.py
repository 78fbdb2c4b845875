"""Real video, end to end: masklets, refinement of coarse labels, and metrics by the oracles."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam2vss_lib import MaskletStore, generate_masklets, open_dataset, refine
from sam2vss_lib.datasets import VOID, Dataset
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.settings import RefineSettings
from tests.masklets.common import LOOSE
from tests.metrics.clips import oracle_values

FRAMES, COARSE = 6, 8
WINDOW_LENGTHS, RADII_PX = (2, 4), (2,)


@pytest.fixture
def camvid(shared_data: Path, tmp_path: Path) -> Dataset:
    """The first clip's first frames at half size."""
    whole = open_dataset(shared_data / "camvid", "val")
    clip, root = whole.clips[0], tmp_path / "camvid"
    for folder in ("origin", "mask"):
        (root / "data" / clip.name / folder).mkdir(parents=True)
    for i in range(FRAMES):
        for path in (clip.frame_path(i), clip.mask_path(i)):
            with Image.open(path) as image:
                half = (image.width // 2, image.height // 2)
                small = image.resize(half, Image.Resampling.NEAREST)
                small.save(root / path.relative_to(whole.root))
    (root / "val.txt").write_text(clip.name)
    (root / "classes.json").write_bytes((whole.root / "classes.json").read_bytes())
    return open_dataset(root, "val")


def test_masklets_refine_evaluate(demo_model: Sam2Model, camvid: Dataset, tmp_path: Path) -> None:
    clip, num_classes = camvid.clips[0], camvid.num_classes
    settings = LOOSE.model_copy(update={"window": 4})
    run = generate_masklets(camvid, demo_model, settings, tmp_path / "masklets")
    assert run.masklets > 0
    base = PredictionFolder(tmp_path / "base", num_classes)
    refined = PredictionFolder(tmp_path / "refined", num_classes)
    truths = [clip.ground_truth(i) for i in range(FRAMES)]
    assert any((truth == VOID).any() for truth in truths)
    for i, truth in enumerate(truths):
        coarse = np.repeat(np.repeat(truth[::COARSE, ::COARSE], COARSE, 0), COARSE, 1)
        base.write(clip, i, np.ascontiguousarray(coarse[: truth.shape[0], : truth.shape[1]]))
    refine(camvid, base, MaskletStore(tmp_path / "masklets"), refined, RefineSettings())
    predictions = [refined.read(clip, i) for i in range(FRAMES)]
    assert any(not np.array_equal(p, base.read(clip, i)) for i, p in enumerate(predictions))

    # every third pixel, for the oracles' sake
    predictions, truths = ([m[::3, ::3].copy() for m in maps] for maps in (predictions, truths))
    suite = MetricSuite(num_classes, window_lengths=WINDOW_LENGTHS, radii_px=RADII_PX)
    for prediction, truth in zip(predictions, truths, strict=True):
        suite.update(clip.name, torch.from_numpy(prediction), torch.from_numpy(truth))
    result = suite.compute(samples=1)
    found = {**result.variants, "FWIoU": {"fwiou": result.metrics["FWIoU"]}}
    pair = {clip.name: (predictions, truths)}
    expected = oracle_values(pair, num_classes, WINDOW_LENGTHS, RADII_PX)
    assert found.keys() == expected.keys()
    for metric, values in expected.items():
        assert found[metric] == pytest.approx(values, abs=1e-9, rel=0), metric
