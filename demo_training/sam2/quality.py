"""How good the demo SAM2 is on held-out generated clips: proposals and tracking, by stock sam2.

Run as `python -m demo_training.sam2.quality --out quality.json`.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from sam2vss_lib.datasets.demo.world import World
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.sam2 import DEMO, Sam2Model, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.storage.files import write_json

HELD_OUT_SEED = 2_000_000  # away from every training and demo seed
MIN_REGION_PX = 200
AFTER_FRAMES = (4, 8, 16)
_VISIBLE_PX = 100
Mask = NDArray[np.bool_]


def mask_iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two (H, W) masks; 0 when both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def labelled_regions(world: World, regions: NDArray[np.uint8]) -> dict[int, Mask]:
    """Masks (H, W) of the labelled regions larger than `MIN_REGION_PX`, by region id."""
    masks = {int(r): regions == r for r in np.unique(regions) if world.region_labels[r] != 0}
    return {region: mask for region, mask in masks.items() if mask.sum() > MIN_REGION_PX}


def proposal_quality(
    model: Sam2Model, settings: MaskletSettings, num_clips: int
) -> dict[str, float]:
    """Best proposal per ground-truth region on first frames.

    Returns:
        `best_iou` (mean over regions), `recall_50`, `recall_75`, `coverage` (share of the
        frame under any proposal) and `proposals` (per frame).
    """
    generator = ProposalGenerator(model, settings)
    best: list[float] = []
    coverage: list[float] = []
    counts: list[int] = []
    for seed in tqdm(range(HELD_OUT_SEED, HELD_OUT_SEED + num_clips), "proposals", disable=None):
        world = World(seed)
        frame = world.frame(0)
        found = generator(frame.image).masks
        counts.append(len(found))
        coverage.append(float(found.any(0).mean()) if len(found) else 0.0)
        best += [
            max((mask_iou(mask, proposal) for proposal in found), default=0.0)
            for mask in labelled_regions(world, frame.regions).values()
        ]
    scores = np.array(best)
    return {
        "best_iou": float(scores.mean()),
        "recall_50": float((scores > 0.5).mean()),
        "recall_75": float((scores > 0.75).mean()),
        "coverage": float(np.mean(coverage)),
        "proposals": float(np.mean(counts)),
        "regions": len(scores),
    }


def tracking_quality(model: Sam2Model, num_clips: int) -> dict[str, Any]:
    """Masklets started from true masks, against the unmoved first mask.

    Only regions that stay visible (at least `_VISIBLE_PX` on every frame so far) count.

    Returns:
        For each of `AFTER_FRAMES`: `iou`, `unmoved` and `regions`.
    """
    scores: dict[int, list[tuple[float, float]]] = {after: [] for after in AFTER_FRAMES}
    length = max(AFTER_FRAMES) + 1
    for seed in tqdm(range(HELD_OUT_SEED, HELD_OUT_SEED + num_clips), "tracking", disable=None):
        world = World(seed)
        frames = [world.frame(t) for t in range(length)]
        first = labelled_regions(world, frames[0].regions)
        sizes = np.array([[np.count_nonzero(f.regions == r) for f in frames] for r in first])
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{t}.jpg" for t in range(length)]
            for path, frame in zip(paths, frames, strict=True):
                Image.fromarray(frame.image).save(path, quality=95)
            for part in propagate(model, paths, np.stack(list(first.values()))):
                if part.offset not in scores:
                    continue
                masks = (part.logits > 0).cpu().numpy()
                truth = frames[part.offset].regions
                for index, (region, start) in enumerate(first.items()):
                    if sizes[index, : part.offset + 1].min() < _VISIBLE_PX:
                        continue
                    now = truth == region
                    pair = (mask_iou(masks[index], now), mask_iou(start, now))
                    scores[part.offset].append(pair)
    return {
        str(after): {
            "iou": float(np.mean([s[0] for s in pairs])),
            "unmoved": float(np.mean([s[1] for s in pairs])),
            "regions": len(pairs),
        }
        for after, pairs in scores.items()
    }


def measure(model: Sam2Model, num_clips: int = 24) -> dict[str, Any]:
    """Proposals with the paper's thresholds and with loose ones, and tracking."""
    loose = MaskletSettings(pred_iou_thresh=0.0, stability_score_thresh=0.0)
    return {
        "checkpoint_sha256": model.checkpoint_sha256,
        "clips": num_clips,
        "proposals": proposal_quality(model, MaskletSettings(), num_clips),
        "proposals_without_thresholds": proposal_quality(model, loose, num_clips),
        "tracking": tracking_quality(model, num_clips),
    }


def main(
    checkpoint: Annotated[str, typer.Option(help="demo, or a file")] = DEMO,
    config: Annotated[str | None, typer.Option(help="its configuration")] = None,
    clips: Annotated[int, typer.Option(help="held-out clips")] = 24,
    out: Annotated[Path | None, typer.Option(help="JSON file to write")] = None,
) -> None:
    """Measure a checkpoint and print or write the numbers."""
    result = measure(load_sam2(checkpoint, config=config), clips)
    if out is not None:
        write_json(out, result)
    typer.echo(result)


if __name__ == "__main__":
    typer.run(main)
