"""Training of the two demo SegFormers on the generated data set, restartable at any moment.

Run as `python -m sam2vss_lib.segmentors.training --out runs/demo-segformer [--only micro]`; the
`.safetensors` files it leaves there are what `demo/` holds.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from sam2vss_lib.datasets import VOID, Dataset, open_dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.files import atomic_path, write_json
from sam2vss_lib.metrics import MetricsResult, MetricSuite
from sam2vss_lib.segmentors.augmentation import LabelledFrame, random_batch, read_frames
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.registry import DEMO_MODELS, demo_architecture, load_segmentor
from sam2vss_lib.segmentors.segformer import build_segformer, normalise

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSettings:
    """The recipe: weighted cross entropy without void, AdamW, warm-up, polynomial decay.

    Attributes:
        steps: optimiser steps.
        batch: crops per step.
        crop_px: side of the square crops.
        lr: largest learning rate.
        power: exponent of the decay.
        weight_decay: of matrices; vectors do not decay.
        warmup_steps: steps until `lr` is reached.
        seed: of initial weights and of every step's batch.
        checkpoint_steps: steps between checkpoints.
    """

    steps: int
    batch: int = 8
    crop_px: int = 192
    lr: float = 1e-3
    power: float = 0.9
    weight_decay: float = 0.01
    warmup_steps: int = 100
    seed: int = 0
    checkpoint_steps: int = 100


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

    Every step draws its batch from a generator seeded by (seed, step), so an interrupted training
    ends with the same weights as an undisturbed one.

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
    decaying = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decaying}, {"params": others, "weight_decay": 0.0}],
        lr=settings.lr,
        weight_decay=settings.weight_decay,
    )
    recipe = json.dumps({"architecture": dict(architecture), "settings": asdict(settings)})
    first = _resume(checkpoint, recipe, network, optimiser)
    weight = class_weights(frames, int(architecture["num_labels"]))
    started, losses = time.monotonic(), list[float]()
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = _learning_rate(settings, step)
        rng = np.random.default_rng([settings.seed, step])
        images, labels = random_batch(frames, settings.batch, settings.crop_px, rng)
        logits = F.interpolate(network(normalise(images)).logits, labels.shape[1:], mode="bilinear")
        loss = F.cross_entropy(logits, labels, weight, ignore_index=VOID)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == settings.steps:
            pace = (time.monotonic() - started) / (step + 1 - first)
            mean = sum(losses) / len(losses)
            _log.info("step %d/%d: loss %.3f, %.2f s/step", step + 1, settings.steps, mean, pace)
            losses.clear()
            _save(checkpoint, recipe, network, optimiser, step + 1)
    return network


def class_weights(frames: Sequence[LabelledFrame], num_classes: int) -> Tensor:
    """Weights of the classes in the loss: the inverse square root of their share of the pixels.

    Things cover few pixels; without weights the rare ones are never predicted.

    Returns:
        (C,) float32 with mean 1 over the classes that occur; 0 for the others.
    """
    counts = np.zeros(VOID + 1)
    for frame in frames:
        counts += np.bincount(frame.labels.ravel(), minlength=VOID + 1)
    present = counts[:num_classes] > 0
    weights = np.where(present, 1 / np.sqrt(np.maximum(counts[:num_classes], 1)), 0)
    return torch.tensor(weights / weights[present].mean(), dtype=torch.float32)


def _learning_rate(settings: TrainSettings, step: int) -> float:
    warmup = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    return settings.lr * warmup * (1 - step / settings.steps) ** settings.power


def _save(
    path: Path, recipe: str, network: nn.Module, optimiser: torch.optim.Optimizer, step: int
) -> None:
    state = {
        "recipe": recipe,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def _resume(path: Path, recipe: str, network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Load a checkpoint if there is one; the step to go on with."""
    if not path.exists():
        return 0
    try:
        state: Any = torch.load(path, weights_only=True)
    except Exception as error:  # the unpickler fed arbitrary bytes raises many things
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a readable checkpoint ({reason}); delete it") from None
    if not isinstance(state, dict) or state.get("recipe") != recipe:
        raise DataError(f"{path}: of another architecture or recipe; delete it or use new --out")
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def export(network: nn.Module, path: Path) -> None:
    """Write the weights as float16 safetensors, half the size and close enough for inference."""
    state = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(state, temporary)


def measure(segmentor: Segmentor, dataset: Dataset) -> MetricsResult:
    """Evaluate a segmentor on a data set, frame by frame."""
    suite = MetricSuite(segmentor.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            labels = segmentor.predict(torch.from_numpy(clip.frame(i))[None]).labels[0].cpu()
            suite.update(clip.name, labels, torch.from_numpy(clip.ground_truth(i)))
    return suite.compute()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, export and measure the demo models."""
    parser = argparse.ArgumentParser(description="Train the demo SegFormers.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and models")
    parser.add_argument("--only", choices=["micro", "mini"], help="train one of the two")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    frames = read_frames(open_dataset("demo", "train"))
    for name in DEMO_MODELS:
        if options.only is not None and not name.endswith(options.only):
            continue
        stem = name.replace("-", "_")
        checkpoint = options.out / f"{stem}.pt"
        network = train(demo_architecture(name), frames, RECIPES[name], checkpoint)
        weights = options.out / f"{stem}.safetensors"
        export(network, weights)
        result = measure(load_segmentor(f"{name}:{weights}"), open_dataset("demo", "val"))
        write_json(options.out / f"{stem}_metrics.json", result.to_dict())
        _log.info("%s on demo val: %s", name, result.metrics)


if __name__ == "__main__":
    main()
