"""The loop that trains every demo base model: restartable, the same weights however interrupted."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from demo_training.segmentors.augmentation import LabelledFrame
from sam2vss_lib.datasets import VOID
from sam2vss_lib.errors import DataError, first_line
from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.storage.files import atomic_path

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSettings:
    """The recipe: weighted cross entropy without void, AdamW, warm-up, polynomial decay.

    Attributes:
        steps: optimiser steps.
        batch: samples per step: crops, or clips of crops.
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


def optimise(
    network: nn.Module,
    loss_of: Callable[[np.random.Generator], Tensor],
    settings: TrainSettings,
    architecture: Mapping[str, Any],
    checkpoint: Path,
    lr_shares: Mapping[str, float] | None = None,
) -> None:
    """Train a network in place, going on from `checkpoint` if it exists.

    Every step draws its batch from a generator seeded by (seed, step), so an interrupted training
    ends with the same weights as an undisturbed one; the network must have no randomness of its
    own, such as dropout.

    Args:
        network: the network with its initial weights, in training mode.
        loss_of: draws a batch by the generator and gives the network's loss on it.
        settings: the recipe.
        architecture: what the network was built from, JSON-able; guards the checkpoint.
        checkpoint: where the state is kept between steps.
        lr_shares: learning rates relative to `settings.lr`, by the first part of parameter names.

    Raises:
        DataError: `checkpoint` is of another architecture or recipe, or not readable.
    """
    optimiser = _optimiser(network, settings, lr_shares or {})
    recipe = json.dumps({"architecture": dict(architecture), "settings": asdict(settings)})
    first = _resume(checkpoint, recipe, network, optimiser)
    started, losses = time.monotonic(), list[float]()
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * _learning_rate(settings, step)
        loss = loss_of(np.random.default_rng([settings.seed, step]))
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


def pixel_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy at the size of the labels, void aside.

    Args:
        logits: (B, C, h, w), brought to that size.
        labels: (B, H, W) int64, void 255.
        weight: (C,) of the classes.

    Returns:
        A scalar.
    """
    return F.cross_entropy(resize(logits, labels.shape[1:]), labels, weight, ignore_index=VOID)


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


def export(state: Mapping[str, Tensor], path: Path) -> None:
    """Write weights as float16 safetensors, half the size and close enough for inference."""
    halves = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in state.items()
    }
    with atomic_path(path) as temporary:
        save_file(halves, temporary)


def _optimiser(
    network: nn.Module, settings: TrainSettings, lr_shares: Mapping[str, float]
) -> torch.optim.Optimizer:
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        key = (parameter.ndim > 1, lr_shares.get(name.split(".")[0], 1.0))
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "share": share,
                "weight_decay": settings.weight_decay if decays else 0.0,
            }
            for (decays, share), parameters in groups.items()
        ],
        lr=settings.lr,
    )


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
        said = f"{path}: not a readable checkpoint ({first_line(error)}); move it away"
        raise DataError(said) from None
    if not isinstance(state, dict) or state.get("recipe") != recipe:
        raise DataError(f"{path}: of another architecture or recipe; use a new --out")
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
