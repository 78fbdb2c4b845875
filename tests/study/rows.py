"""Rows of Table 1 with real suites over tiny clips, for tests of tables, claims and figures."""

from pathlib import Path

import numpy as np
import torch

from sam2vss_lib.metrics import MetricSuite, paired_gain
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.tables import table_row
from sam2vss_lib.study.stages.study import Evaluated

CLASSES = 3
FRAMES = 12


def truth(clip: int) -> torch.Tensor:
    """(24, 32) three bands whose borders differ from clip to clip."""
    labels = torch.zeros((24, 32), dtype=torch.uint8)
    labels[8 + clip :] = 1
    labels[16 + clip :, 10:] = 2
    return labels


def evaluated(error: float, clips: int = 4, seed: int = 0) -> Evaluated:
    """Predictions that are wrong at about `error` of the pixels, differently on every frame."""
    rng = np.random.default_rng(seed)
    suite = MetricSuite(CLASSES, window_lengths=(8, 16))
    for clip in range(clips):
        for _ in range(FRAMES + 8):
            labels = truth(clip)
            wrong = torch.from_numpy(rng.random(labels.shape) < error * (1 + 0.1 * clip))
            prediction = torch.where(wrong, (labels + 1) % CLASSES, labels).to(torch.uint8)
            suite.update(f"clip{clip}", prediction, labels)
    result = suite.compute(samples=200).to_dict()
    return Evaluated(PredictionFolder(Path("nowhere"), CLASSES), result, suite)


def rows(base_error: float = 0.2, refined_error: float = 0.05) -> list[Row]:
    """A base row, its refinement, and a row of the paper that was not run."""
    base, refined = evaluated(base_error), evaluated(refined_error, seed=1)
    gains = paired_gain(base.suite, refined.suite, samples=200)
    return [
        table_row(1, "CFFM", "MiT-B1", "run on 4 clips", evaluated=base),
        table_row(1, "SAM2-CFFM", "MiT-B1", "run on 4 clips", ("CFFM", "MiT-B1"), refined, gains),
        table_row(1, "SAM2-TV3S", "MiT-B1", "not run: no predictions", ("TV3S", "MiT-B1")),
    ]
