"""Training of the two demo SegFormers on the generated data set, restartable at any moment.

Run as `python -m demo_training.segmentors.segformer --out runs/demo-segformer [--only micro]`; the
`.safetensors` files it leaves there are what `demo/` holds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from demo_training.segmentors.augmentation import Clips, LabelledFrame, random_batch
from demo_training.segmentors.command import run_command
from demo_training.segmentors.optimisation import (
    TrainSettings,
    class_weights,
    optimise,
    pixel_loss,
)
from sam2vss_lib.segmentors.pixels import normalise
from sam2vss_lib.segmentors.registry import demo_architecture
from sam2vss_lib.segmentors.segformer.segformer import build_segformer

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
        network = build_segformer(architecture).train()
    weight = class_weights(frames, int(architecture["num_labels"]))

    def loss_of(rng: np.random.Generator) -> Tensor:
        images, labels = random_batch(frames, settings.batch, settings.crop_px, rng)
        return pixel_loss(network(normalise(images)).logits, labels, weight)

    optimise(network, loss_of, settings, architecture, checkpoint)
    return network


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, export and measure the demo SegFormers."""

    def trained(name: str, clips: Clips, checkpoint: Path) -> dict[str, Tensor]:
        frames = [frame for clip in clips for frame in clip]
        return train(demo_architecture(name), frames, RECIPES[name], checkpoint).state_dict()

    sizes = {name.split("-")[1]: name for name in RECIPES}
    run_command("the demo SegFormers", sizes, trained, arguments)


if __name__ == "__main__":
    main()
