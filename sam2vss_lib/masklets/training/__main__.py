"""Train the demo SAM2: `python -m sam2vss_lib.masklets.training --out runs/demo-sam2`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save_file

from sam2vss_lib.files import atomic_path
from sam2vss_lib.masklets.sam2 import build_model, demo_config
from sam2vss_lib.masklets.training.pool import load_pool
from sam2vss_lib.masklets.training.recipe import STAGES, run_stage

_POOL_SEED = 1_000_000
_OBJECT_BIAS = 2.0  # an object counts as present until the score has learnt better


def main(
    out: Annotated[Path, typer.Option(help="folder for the pool and the checkpoints")],
    clips: Annotated[int, typer.Option(help="generated training clips")] = 1200,
    seed: Annotated[int, typer.Option(help="of weights and batches")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads")] = 1,
) -> None:
    """Run all stages, resuming where an earlier run stopped, and export the weights."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    pool = load_pool(out / "pool", clips, _POOL_SEED)
    model = build_model(demo_config())
    torch.nn.init.constant_(
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, _OBJECT_BIAS
    )
    for stage in STAGES:
        run_stage(model, stage, pool, out, seed)
    export(model, out / "sam2_micro.safetensors")


def export(model: torch.nn.Module, path: Path) -> None:
    """Write weights in half precision, as they are shipped."""
    state = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(state, temporary)


if __name__ == "__main__":
    typer.run(main)
