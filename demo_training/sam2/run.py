"""One training process: all stages in order, alone or beside others, and the export at the end."""

import logging
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from demo_training.sam2.pool import load_pool
from demo_training.sam2.recipe import run_stage
from demo_training.sam2.stages import JOINT, STAGES
from demo_training.sam2.tracking import DeepSupervision
from sam2vss_lib.masklets.sam2 import build_model, demo_config
from sam2vss_lib.storage.files import atomic_path

POOL_SEED = 1_000_000
MEETING = "processes"  # file by which processes find each other
_SHARPEN = 3.0
_OBJECT_BIAS = 2.0  # an object counts as present until the score has learnt better


def train(
    rank: int, world: int, out: Path, clips: int, seed: int, start: Path | None = None
) -> None:
    """What each process does; all of them end with the same weights, the first one exports them.

    With `start`, exported weights, the stages before `JOINT` are left out.
    """
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s [{rank}] %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if world > 1:
        meeting = (out / MEETING).resolve()
        dist.init_process_group("gloo", f"file://{meeting}", world_size=world, rank=rank)
    pool = load_pool(out / "pool", clips, POOL_SEED)
    model = build_model(demo_config())
    probe = DeepSupervision(model.hidden_dim)
    torch.nn.init.constant_(
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, _OBJECT_BIAS
    )
    stages = STAGES
    if start is not None:
        model.load_state_dict(load_file(start))
        scale_point_logits(model, 1 / _SHARPEN)
        stages = STAGES[[stage.name for stage in STAGES].index(JOINT) :]
    for stage in stages:
        run_stage(model, probe, stage, pool, out, seed)
    scale_point_logits(model, _SHARPEN)
    if rank == 0:
        export(model, out / "sam2_micro.safetensors")
    if world > 1:
        dist.destroy_process_group()


def scale_point_logits(model: Any, factor: float) -> None:
    """Scale the logits of the three masks that point prompts give; the masks stay the same.

    The generator's stability compares areas at logits of +-0.9, a distance chosen for the logits
    of official models. The single mask that tracking uses feeds the memory and stays as trained.
    """
    with torch.no_grad():
        for head in model.sam_mask_decoder.output_hypernetworks_mlps[1:]:
            head.layers[-1].weight.mul_(factor)
            head.layers[-1].bias.mul_(factor)


def export(model: torch.nn.Module, path: Path) -> None:
    """Write weights in half precision, as they are shipped."""
    state = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(state, temporary)
