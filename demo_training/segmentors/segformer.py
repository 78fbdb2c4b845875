"""Training of the two demo SegFormers on the generated data set, restartable at any moment.

Run as `python -m demo_training.segmentors.segformer --out runs/demo-segformer [--only micro]`; the
`.safetensors` files it leaves there are what `demo/` holds.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from demo_training.segmentors.augmentation import LabelledFrame, random_batch, read_frames
from demo_training.segmentors.optimisation import (
    TrainSettings,
    class_weights,
    export,
    optimise,
    pixel_loss,
)
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.metrics import MetricsResult, MetricSuite
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.pixels import normalise
from sam2vss_lib.segmentors.registry import demo_architecture, load_segmentor
from sam2vss_lib.segmentors.segformer.segformer import build_segformer
from sam2vss_lib.storage.files import write_json

_log = logging.getLogger(__name__)

RECIPES: dict[str, TrainSettings] = {
    "segformer-micro": TrainSettings(steps=4000),
    "segformer-mini": TrainSettings(steps=1800),
}


def train(
    architecture: Mapping[str, Any],
    frames: Sequence[LabelledFrame],
    settings: TrainSettings,
    checkpoint: Path,
) -> nn.Module:
    """Train a SegFormer on the CPU, going on from `checkpoint` if it exists.

    Args:
        architecture: fields of a `transformers.SegformerConfig`; dropout of any kind must be off:
            its random numbers would differ after an interruption.
        frames: the training data.
        settings: the recipe.
        checkpoint: where the state is kept between steps.

    Returns:
        The trained network.

    Raises:
        DataError: `checkpoint` is of another architecture or recipe, or not readable.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_segformer(architecture)
    network.train()
    weight = class_weights(frames, int(architecture["num_labels"]))

    def loss_of(rng: np.random.Generator) -> Tensor:
        images, labels = random_batch(frames, settings.batch, settings.crop_px, rng)
        return pixel_loss(network(normalise(images)).logits, labels, weight)

    optimise(network, loss_of, settings, architecture, checkpoint)
    return network


def measure(segmentor: Segmentor, dataset: Dataset) -> MetricsResult:
    """Evaluate a segmentor on a data set, frame by frame."""
    suite = MetricSuite(segmentor.num_classes)
    for clip in dataset:
        frames = (clip.frame(i) for i in range(clip.num_frames))
        for i, prediction in enumerate(segmentor.predict_clip(frames)):
            truth = torch.from_numpy(clip.ground_truth(i))
            suite.update(clip.name, prediction.labels.cpu(), truth)
    return suite.compute()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, export and measure the demo models."""
    parser = argparse.ArgumentParser(description="Train the demo SegFormers.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and models")
    parser.add_argument("--only", choices=["micro", "mini"], help="train one of the two")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    frames = read_frames(open_dataset("demo", "train"))
    for name in RECIPES:
        if options.only is not None and not name.endswith(options.only):
            continue
        stem = name.replace("-", "_")
        checkpoint = options.out / f"{stem}.pt"
        network = train(demo_architecture(name), frames, RECIPES[name], checkpoint)
        weights = options.out / f"{stem}.safetensors"
        export(network.state_dict(), weights)
        result = measure(load_segmentor(f"{name}:{weights}"), open_dataset("demo", "val"))
        write_json(options.out / f"{stem}_metrics.json", result.to_dict())
        _log.info("%s on demo val: %s", name, result.metrics)


if __name__ == "__main__":
    main()
