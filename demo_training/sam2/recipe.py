"""Running training stages: balanced losses, checkpoints, and losses spread over processes."""

import logging
import math
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from demo_training.sam2.pool import Pool
from demo_training.sam2.stages import Stage
from demo_training.sam2.tracking import DeepSupervision
from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import atomic_path, sha256_json

_log = logging.getLogger(__name__)
_CHECKPOINT_STEPS = 50
_WARMUP_STEPS = 50


def run_stage(
    model: Any, probe: DeepSupervision, stage: Stage, pool: Pool, folder: Path, seed: int
) -> None:
    """Train one stage in place, resuming from `<folder>/<stage>.pt` when it is there.

    Every loss draws from a generator seeded by (seed, stage, step, loss), so an interrupted run
    continues with the batches an undisturbed one would have seen. With several processes each
    computes some of the losses; all of them hold the same model after every step.

    Args:
        model: the SAM2 model.
        probe: the deep supervision head.
        stage: what to train.
        pool: training clips.
        folder: of the checkpoints.
        seed: of all batches.

    Raises:
        DataError: the checkpoint was made by another recipe or seed.
    """
    path = folder / f"{stage.name}.pt"
    state = torch.load(path, weights_only=True) if path.exists() else None
    recipe = _recipe_sha256(stage, seed)
    if state is not None:
        if state.get("recipe") != recipe:
            raise DataError(f"{path}: of another recipe or seed; use a new --out")
        model.load_state_dict(state["model"])
        probe.load_state_dict(state["probe"])
    elif stage.prepare is not None:
        stage.prepare(model)
    first = 0 if state is None else int(state["step"])
    if first >= stage.steps:
        return
    optimiser = torch.optim.AdamW(_groups(model, probe, stage), lr=stage.lr, betas=(0.9, 0.98))
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    model.train()
    started, seen = time.monotonic(), list[dict[str, float]]()
    for step in range(first, stage.steps):
        for group in optimiser.param_groups:
            group["lr"] = _rate(stage, step) * group["factor"]
        parts = (model, probe, pool)
        seen.append(
            _backward(stage, optimiser, parts, (seed, zlib.crc32(stage.name.encode()), step))
        )
        optimiser.step()
        if (step + 1) % _CHECKPOINT_STEPS == 0 or step + 1 == stage.steps:
            means = " ".join(f"{k} {np.mean([s[k] for s in seen]):.3f}" for k in seen[0])
            pace = (time.monotonic() - started) / (step + 1 - first)
            _log.info("%s %d/%d %.2f s/step %s", stage.name, step + 1, stage.steps, pace, means)
            seen.clear()
            _save(path, (model, probe, optimiser), recipe, step + 1)


def _rate(stage: Stage, step: int) -> float:
    """Learning rate: a short warm-up, then a cosine."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / stage.steps))
    warmup = min(1.0, (step + 1) / _WARMUP_STEPS)
    return stage.lr * warmup * (stage.final_lr + (1 - stage.final_lr) * cosine)


def _groups(model: Any, probe: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """Optimiser groups by rate factor; matrices decay, vectors do not."""
    named = [*model.named_parameters(), *((f"probe.{n}", p) for n, p in probe.named_parameters())]
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        factor = next((f for prefix, f in stage.rates if name.startswith(prefix)), 0.0)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            groups.setdefault((factor, parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": members, "factor": factor, "weight_decay": 0.01 if decays else 0.0}
        for (factor, decays), members in groups.items()
    ]


def _backward(
    stage: Stage,
    optimiser: torch.optim.Optimizer,
    parts: tuple[Any, DeepSupervision, Pool],
    seed: tuple[int, ...],
) -> dict[str, float]:
    """Add the gradients of this step's losses, each clipped to norm 1 so that none drowns another.

    Returns:
        The numbers to log of the losses that this process computed.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    total = [torch.zeros_like(parameter) for parameter in parameters]
    logged: dict[str, float] = {}
    for index in range(rank, len(stage.losses), world):
        optimiser.zero_grad()
        loss, numbers = stage.losses[index](*parts, np.random.default_rng([*seed, index]))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        for summed, parameter in zip(total, parameters, strict=True):
            if parameter.grad is not None:
                summed += parameter.grad
        logged |= {name: float(value) for name, value in numbers.items()}
        logged[f"grad_norm_{index}"] = float(norm)
    if world > 1:
        total = _summed_over_processes(total)
    for gradient, parameter in zip(total, parameters, strict=True):
        parameter.grad = gradient
    return logged


def _summed_over_processes(tensors: list[Tensor]) -> list[Tensor]:
    """Sum of tensors over all processes, sent as one message."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]


def _recipe_sha256(stage: Stage, seed: int) -> str:
    """Hash of what a stage's checkpoint depends on, apart from code and training clips."""
    rates = [list(rate) for rate in stage.rates]
    return sha256_json([stage.name, stage.steps, rates, stage.lr, stage.final_lr, seed])


def _save(
    path: Path, parts: tuple[Any, nn.Module, torch.optim.Optimizer], recipe: str, step: int
) -> None:
    """Write a checkpoint; with several processes the first one does."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return
    model, probe, optimiser = parts
    state = {
        "recipe": recipe,
        "model": model.state_dict(),
        "probe": probe.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)
