"""Train the demo SAM2: `python -m demo_training.sam2 --out runs/demo-sam2`."""

from pathlib import Path
from typing import Annotated

import typer
from torch.multiprocessing.spawn import spawn

from demo_training.sam2.pool import load_pool
from demo_training.sam2.run import MEETING, POOL_SEED, train


def main(
    out: Annotated[Path, typer.Option(help="folder for the pool and the checkpoints")],
    clips: Annotated[int, typer.Option(help="generated training clips")] = 1200,
    seed: Annotated[int, typer.Option(help="of weights and batches")] = 0,
    processes: Annotated[int, typer.Option(help="1, or 2 for the joint stage's two losses")] = 1,
    start: Annotated[
        Path | None, typer.Option(help="exported weights to go on from, with the joint stage")
    ] = None,
) -> None:
    """Run all stages, resuming where an earlier run stopped, and export the weights."""
    out.mkdir(parents=True, exist_ok=True)
    load_pool(out / "pool", clips, POOL_SEED)
    if processes == 1:
        train(0, 1, out, clips, seed, start)
    else:
        (out / MEETING).unlink(missing_ok=True)  # left by a killed run
        spawn(train, (processes, out, clips, seed, start), nprocs=processes)


if __name__ == "__main__":
    typer.run(main)
