"""Small random clips, and both ways of evaluating them: the suite and the oracles."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.metrics import VOID, MetricSuite
from tests.oracles.boundary import boundary_metrics
from tests.oracles.consistency import vc_code, vc_eq4
from tests.oracles.iou import region_metrics

Maps = list[NDArray[np.uint8]]
Clips = Mapping[str, tuple[Maps, Sequence[NDArray[np.uint8] | None]]]
"""clip -> (predictions, ground truths, None for a frame without)."""

READINGS = (
    "inner_image",
    "inner_dataset",
    "inner_pooled",
    "twosided_image",
    "cheng_dataset",
    "agnostic",
)


def random_clip(
    rng: np.random.Generator, frames: int, num_classes: int, height: int = 11, width: int = 14
) -> tuple[Maps, Maps]:
    """A blocky scene in motion; class 1 is only predicted, the last class is in neither map."""
    blocks = rng.integers(0, num_classes - 1, (height // 4 + 1, (width + frames) // 4 + 1))
    blocks[blocks == 1] = VOID
    scene = np.kron(blocks, np.ones((4, 4), int)).astype(np.uint8)
    truths = [scene[:height, i // 3 : i // 3 + width].copy() for i in range(frames)]
    predictions: Maps = []
    error = rng.random((height, width)) < 0.25
    wrong = rng.choice([*range(num_classes - 1), VOID], (height, width)).astype(np.uint8)
    for truth in truths:
        flicker = rng.random((height, width)) < 0.02
        seen = np.where(truth == VOID, 0, np.roll(truth, 1, axis=1)).astype(np.uint8)
        predictions.append(np.where(error, wrong, np.where(flicker, VOID, seen)).astype(np.uint8))
    return predictions, truths


def random_clips(
    seed: int, lengths: tuple[int, ...], num_classes: int = 5
) -> dict[str, tuple[Maps, Maps]]:
    """One clip per length; sizes differ between clips, as those of data sets may."""
    rng = np.random.default_rng(seed)
    return {
        f"clip{i}": random_clip(rng, frames, num_classes, height=9 + i, width=14 - i)
        for i, frames in enumerate(lengths)
    }


def evaluate(clips: Clips, num_classes: int, **settings) -> MetricSuite:
    """Feed clips to a new suite."""
    suite = MetricSuite(num_classes, **settings)
    for name, (predictions, truths) in clips.items():
        for prediction, truth in zip(predictions, truths, strict=True):
            if truth is None:
                suite.skip(name)
                continue
            suite.update(name, torch.from_numpy(prediction), torch.from_numpy(truth))
    return suite


def oracle_values(
    clips: Clips,
    num_classes: int,
    window_lengths: tuple[int, ...],
    radii_px: tuple[int, ...],
    frame_edge_is_boundary: bool = False,
) -> dict[str, dict[str, float]]:
    """Every variant, and FWIoU, by the oracles; NaN where it cannot be computed."""
    pairs = [clips[name] for name in sorted(clips)]
    scored = [(p, t) for pair in pairs for p, t in zip(*pair, strict=True) if t is not None]
    predictions, truths = [p for p, _ in scored], [t for _, t in scored]
    region = region_metrics(predictions, truths, num_classes)
    values = {
        "FWIoU": {"fwiou": region.pop("fwiou")},
        "mIoU": region,
        "mBIoU": {
            f"{name}_r{radius}": value
            for radius in radii_px
            for name, value in boundary_metrics(
                predictions, truths, num_classes, radius, outside=not frame_edge_is_boundary
            ).items()
        },
    }
    for n in window_lengths:
        values[f"mVC{n}"] = {"vc_code": vc_code(pairs, n), "vc_eq4": vc_eq4(pairs, n)}
    return values
