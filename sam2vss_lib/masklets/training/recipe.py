"""The staged recipe that trains the demo SAM2 from scratch, restartable after every checkpoint."""

from __future__ import annotations

import logging
import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sam2vss_lib.files import atomic_path
from sam2vss_lib.masklets.training import points
from sam2vss_lib.masklets.training.pool import Pool
from sam2vss_lib.masklets.training.tracking import DeepSupervision, tracking_step

_log = logging.getLogger(__name__)
_CHECKPOINT_STEPS = 50
_MEMORY = ("memory_", "obj_ptr", "maskmem", "no_mem", "no_obj", "mask_downsample")
_READERS = (
    "sam_mask_decoder.output",
    "sam_mask_decoder.conv_s",
    "no_mem_embed",
)
StepResult = tuple[Tensor, dict[str, Any]]


@dataclass(frozen=True)
class Stage:
    """One stage of the recipe.

    Attributes:
        name: used for the checkpoint file.
        steps: optimiser steps.
        rates: learning-rate factor per parameter-name prefix, first match wins; parameters
            without a match stay frozen.
        lr: largest learning rate.
        final_lr: what the cosine ends at, relative to `lr`.
        step: (model, probe, pool, rng) -> loss and numbers to log.
        prepare: changes the model once, before the stage's first step.
    """

    name: str
    steps: int
    rates: tuple[tuple[str, float], ...]
    step: Callable[[Any, DeepSupervision, Pool, np.random.Generator], list[StepResult]]
    lr: float = 1e-3
    final_lr: float = 0.1
    prepare: Callable[[Any], None] | None = None


def _joint(
    model: Any, probe: DeepSupervision, pool: Pool, rng: np.random.Generator
) -> list[StepResult]:
    """Point and tracking losses of one step; their gradients are balanced by the caller."""
    frames = int(rng.integers(4, 8))
    return [
        points.point_step(model, pool, rng),
        tracking_step(
            model,
            probe,
            pool,
            rng,
            clips=1 if frames > 5 else 2,
            num_frames=frames,
            train_encoder=True,
            probe_weight=0.3,
        ),
    ]


STAGES: tuple[Stage, ...] = (
    Stage(
        "direct",
        2600,
        (("image_encoder", 1.0), *((prefix, 1.0) for prefix in _READERS)),
        lambda model, probe, pool, rng: [points.direct_step(model, pool, rng)],
    ),
    Stage(
        "lookup",
        400,
        (
            ("sam_mask_decoder.transformer.layers.0.mlp", 0.05),
            ("sam_mask_decoder.transformer.layers.1.mlp", 0.05),
            ("sam_mask_decoder.output", 0.0),
            ("sam_mask_decoder.conv_s", 0.0),
            ("sam_mask_decoder", 1.0),
            ("sam_prompt_encoder", 1.0),
        ),
        lambda model, probe, pool, rng: [points.lookup_step(model, pool, rng)],
        prepare=points.initialise_lookup,
    ),
    Stage(
        "tracking",
        350,
        (
            *((prefix, 1.0) for prefix in (*_MEMORY, "probe")),
            ("sam_mask_decoder.transformer", 0.05),
            ("sam_mask_decoder", 0.1),
        ),
        lambda model, probe, pool, rng: [tracking_step(model, probe, pool, rng)],
    ),
    Stage(
        "joint",
        400,
        (
            *((prefix, 1.0) for prefix in (*_MEMORY, "probe")),
            ("sam_mask_decoder.iou_prediction_head", 1.0),
            ("sam_mask_decoder.transformer.layers.0.mlp", 0.1),
            ("sam_mask_decoder.transformer.layers.1.mlp", 0.1),
            ("", 1.0),
        ),
        _joint,
        lr=2e-4,
        final_lr=0.02,
    ),
)


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


def _balanced_backward(results: list[StepResult], parameters: list[nn.Parameter]) -> float:
    """Add the gradients of several losses, each clipped to norm 1 so that none drowns another."""
    total: dict[int, Tensor] = {}
    norm = 0.0
    for loss, _ in results:
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(parameters, 1.0))
        for index, parameter in enumerate(parameters):
            if parameter.grad is not None:
                before = total.get(index)
                total[index] = parameter.grad if before is None else before + parameter.grad
    for index, parameter in enumerate(parameters):
        parameter.grad = total.get(index)
    return norm


def run_stage(model: Any, stage: Stage, pool: Pool, folder: Path, seed: int) -> None:
    """Train one stage in place, resuming from `<folder>/<stage>.pt` when it is there.

    Every step draws from a generator seeded by (seed, stage, step), so an interrupted run
    continues with the batches an undisturbed one would have seen.
    """
    path = folder / f"{stage.name}.pt"
    probe = DeepSupervision(model.hidden_dim)
    probe_path = folder / "probe.pt"
    if probe_path.exists():
        probe.load_state_dict(torch.load(probe_path, weights_only=True))
    state = torch.load(path, weights_only=True) if path.exists() else None
    first = 0
    if state is not None:
        model.load_state_dict(state["model"])
        probe.load_state_dict(state["probe"])
        first = int(state["step"])
    elif stage.prepare is not None:
        stage.prepare(model)
    if first >= stage.steps:
        return
    groups = _groups(model, probe, stage)
    optimiser = torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, 0.98))
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    parameters = [p for group in groups for p in group["params"]]
    model.train()
    started, seen = time.monotonic(), []
    for step in range(first, stage.steps):
        rng = np.random.default_rng([seed, zlib.crc32(stage.name.encode()), step])
        cosine = 0.5 * (1 + math.cos(math.pi * step / stage.steps))
        rate = (
            stage.lr * min(1.0, (step + 1) / 50) * (stage.final_lr + (1 - stage.final_lr) * cosine)
        )
        for group in optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        results = stage.step(model, probe, pool, rng)
        norm = _balanced_backward(results, parameters)
        optimiser.step()
        values = [float(v) for _, numbers in results for v in numbers.values()]
        seen.append([*values, norm])
        if (step + 1) % _CHECKPOINT_STEPS == 0 or step + 1 == stage.steps:
            names = [*(name for _, numbers in results for name in numbers), "grad_norm"]
            means = np.mean(seen, axis=0)
            pace = (time.monotonic() - started) / (step + 1 - first)
            text = " ".join(f"{n} {v:.3f}" for n, v in zip(names, means, strict=True))
            _log.info("%s %d/%d %.2f s/step %s", stage.name, step + 1, stage.steps, pace, text)
            seen.clear()
            with atomic_path(path) as temporary:
                torch.save(
                    {
                        "model": model.state_dict(),
                        "probe": probe.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "step": step + 1,
                    },
                    temporary,
                )
    with atomic_path(probe_path) as temporary:
        torch.save(probe.state_dict(), temporary)
