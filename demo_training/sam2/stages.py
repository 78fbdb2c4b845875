"""The stages of the demo SAM2's training: what each one trains, how fast, and by which losses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from demo_training.sam2 import points
from demo_training.sam2.pool import Pool
from demo_training.sam2.tracking import DeepSupervision, tracking_step

#: (model, probe, pool, rng) -> loss and numbers to log
Loss = Callable[[Any, DeepSupervision, Pool, np.random.Generator], tuple[Tensor, dict[str, Any]]]
JOINT = "joint"  # the stage that training goes on with from exported weights
_MEMORY = ("memory_", "obj_ptr", "maskmem", "no_mem", "no_obj", "mask_downsample", "probe")
_MLPS = ("sam_mask_decoder.transformer.layers.0.mlp", "sam_mask_decoder.transformer.layers.1.mlp")


@dataclass(frozen=True)
class Stage:
    """One stage of the recipe.

    Attributes:
        name: used for the checkpoint file.
        steps: optimiser steps.
        rates: learning-rate factor per parameter-name prefix, first match wins; parameters
            without a match stay frozen.
        losses: their gradients are balanced and added in every step.
        lr: largest learning rate.
        final_lr: what the cosine ends at, relative to `lr`.
        prepare: changes the model once, before the stage's first step.
    """

    name: str
    steps: int
    rates: tuple[tuple[str, float], ...]
    losses: tuple[Loss, ...]
    lr: float = 1e-3
    final_lr: float = 0.1
    prepare: Callable[[Any], None] | None = None


def _long_tracking(
    model: Any, probe: DeepSupervision, pool: Pool, rng: np.random.Generator
) -> tuple[Tensor, dict[str, Any]]:
    """Sequences of 4 to 7 frames that train the encoder too; fewer clips when they are long."""
    frames = int(rng.integers(4, 8))
    return tracking_step(
        model,
        probe,
        pool,
        rng,
        clips=1 if frames > 5 else 2,
        num_frames=frames,
        train_encoder=True,
        probe_weight=0.3,
        lookup_weight=1.0,
    )


STAGES: tuple[Stage, ...] = (
    Stage(
        "direct",
        steps=2600,
        rates=(
            ("image_encoder", 1.0),
            ("sam_mask_decoder.output", 1.0),
            ("sam_mask_decoder.conv_s", 1.0),
            ("no_mem_embed", 1.0),
        ),
        losses=(lambda model, probe, pool, rng: points.direct_step(model, pool, rng),),
    ),
    Stage(
        "lookup",
        steps=400,
        # the width of these MLPs, fixed at 2048 by sam2, wants small steps
        rates=(
            *((prefix, 0.05) for prefix in _MLPS),
            ("sam_mask_decoder.output", 0.0),
            ("sam_mask_decoder.conv_s", 0.0),
            ("sam_mask_decoder", 1.0),
            ("sam_prompt_encoder", 1.0),
        ),
        losses=(lambda model, probe, pool, rng: points.lookup_step(model, pool, rng),),
        prepare=points.initialise_lookup,
    ),
    Stage(
        "tracking",
        steps=250,
        rates=(
            *((prefix, 1.0) for prefix in _MEMORY),
            ("sam_mask_decoder.transformer", 0.05),
            ("sam_mask_decoder", 0.1),
        ),
        losses=(tracking_step,),
    ),
    Stage(
        JOINT,
        steps=1600,
        rates=(
            *((prefix, 0.1) for prefix in _MLPS),
            *((prefix, 2.0) for prefix in _MEMORY),
            ("sam_mask_decoder.iou_prediction_head", 4.0),
            ("", 1.0),
        ),
        losses=(
            lambda model, probe, pool, rng: points.point_step(model, pool, rng),
            _long_tracking,
        ),
        lr=3e-4,
        final_lr=0.02,
    ),
    Stage(
        "scores",
        steps=500,
        # tracking uses none of these, so it stays as it is to the last bit
        rates=(
            *((f"sam_mask_decoder.output_hypernetworks_mlps.{k}", 0.3) for k in (1, 2, 3)),
            ("sam_mask_decoder.iou_prediction_head", 1.0),
        ),
        losses=(lambda model, probe, pool, rng: points.score_step(model, pool, rng),),
        final_lr=0.02,
    ),
)
