"""Masklets on a card: equal to stock's, frames a second from files to Parquet, part by part."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.agreement import Differences
from benchmarks.gpu.cases import (
    Case,
    Scale,
    Watched,
    clips,
    model,
    objects_of,
    wait_for,
    watched,
)
from benchmarks.gpu.stock import optimized
from benchmarks.host import logits
from benchmarks.inputs import boxes, demo_clip
from benchmarks.profile import watched_parts
from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.engines.batched import clip as engine
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import pack
from sam2vss_lib.masklets.engines.batched.grid import Candidates
from sam2vss_lib.masklets.engines.batched.heads import Decoded, Heads
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import ClipMasklets, MaskletStore
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import PAPER_FPS, Comparison

#: object-frames that stock, an object at a time, is given
_STOCK_OBJECT_FRAMES = 240


def equality(scale: Scale) -> Iterator[Case]:
    """The demo's masklets beside stock's and, of the same proposals, in bfloat16 too."""
    exact = MaskletSettings(
        window=scale.frames if scale.is_tiny else 16, points_per_side=max(scale.points_per_side, 8)
    )
    low = exact.model_copy(update={"precision": "bfloat16"})
    stock = {"engine": "stock"}

    def rows(
        other: str, ours: MaskletSettings, theirs: MaskletSettings, *, follow_only: bool
    ) -> Iterator[Comparison]:
        found, sam2 = Differences(), model("demo", scale.device)
        with demo_clip(exact.window) as dataset:
            proposals = ProposalGenerator(sam2, exact)(dataset.clips[0].frame(0)).masks
            with given(proposals) if follow_only else nullcontext():
                found.add_masklets(*(stored(dataset, sam2, one) for one in (ours, theirs)))
        promised = ours.precision == "float32"
        same = found.other_proposals == 0 and found.masklets > 0
        yield Comparison(
            "gpu",
            f"demo, {ours.precision}" + ", the same proposals" * follow_only,
            other,
            "mean IoU",
            found.mean_iou,
            objects=found.masklets,
            frames=exact.window,
            target="same proposals, mean IoU >= 0.9995, 99 % above 0.999" if promised else "",
            met=same and found.mean_iou >= 0.9995 and found.share_above >= 0.99
            if promised
            else None,
            note=f"{found.other_proposals} of {found.anchors} windows with other proposals; "
            f"{found.share_above:.2%} of masks above 0.999, the lowest "
            f"{min(found.ious, default=0.0):.4f}",
        )

    cases = {
        "float32": ("engine: stock", exact, exact.model_copy(update=stock), False),
        "bfloat16": ("engine: stock", low, low.model_copy(update=stock), True),
        "bfloat16 beside float32": ("engine in float32", low, exact, True),
    }
    for name, (other, ours, theirs, follow_only) in cases.items():
        yield Case(name, partial(rows, other, ours, theirs, follow_only=follow_only))


def stored(dataset: Dataset, sam2: Sam2Model, settings: MaskletSettings) -> ClipMasklets:
    """The masklets of the first clip, by the whole way into a store and back."""
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        generate_masklets(dataset, sam2, settings, folder)
        return MaskletStore(Path(folder)).read(dataset.clips[0].name)


@contextmanager
def given(masks: NDArray[np.bool_]) -> Generator[None]:
    """Both engines follow (n, H, W) masks in place of what they propose, as random weights do not.

    They do look for proposals first, which takes its time as ever.
    """
    propose, generate = engine.propose, ProposalGenerator.__call__
    scores = np.linspace(1, 0.9, len(masks), dtype=np.float32)

    def ours(*arguments: Any, **named: Any) -> Candidates:
        found = propose(*arguments, **named)
        device = found.packed.device
        packed = pack(torch.from_numpy(masks).to(device).flatten(1))
        ones = torch.from_numpy(scores).to(device)
        # boxes beside each other, so that none is taken for a duplicate
        apart = torch.arange(4 * len(masks), device=device).view(-1, 4)[:, [0, 0, 3, 3]]
        return Candidates(packed, ones, ones, apart, found.size_px, found.loosest)

    def stock(self: ProposalGenerator, image: Any) -> Proposals:
        generate(self, image)
        return Proposals(masks, scores, scores)

    with patch.object(engine, "propose", ours), patch.object(ProposalGenerator, "__call__", stock):
        yield


@contextmanager
def smooth_masks(sam2: Sam2Model, count: int) -> Generator[None]:
    """What the decoder draws is computed and then replaced by blobs as rough as masks are.

    Those of random weights are noise, whose run lengths take a hundred times the room.
    """
    side, decode = sam2.predictor.image_size, Heads.decode
    blobs = F.interpolate(logits(count, 0), (side // 4, side // 4)).to(sam2.device)
    blobs = blobs.repeat(2, 1, 1, 1)  # batches that are filled up have no more than that
    heads, given_to = sam2.predictor._forward_sam_heads, iter(cycle(range(count)))

    def ours(self: Heads, image: Tensor, features: Any) -> Decoded:
        return decode(self, image, features)._replace(masks=blobs[: len(image)])

    def stock(*arguments: Any, **named: Any) -> tuple[Any, ...]:
        found = list(heads(*arguments, **named))
        one = next(given_to)
        found[3] = blobs[one : one + 1]
        found[4] = F.interpolate(found[3], (side, side), mode="bilinear", align_corners=False)
        return tuple(found)

    with (
        patch.object(Heads, "decode", ours),
        patch.object(sam2.predictor, "_forward_sam_heads", stock),
    ):
        yield


def fps(
    scale: Scale,
    sam2: Sam2Model,
    settings: MaskletSettings,
    count: int,
    frames: int,
    clip_count: int,
) -> tuple[float, Watched, float]:
    """Frames a second from files to Parquet, what that took, and the bytes of a mask's run lengths.

    A clip of three frames warms up.

    Raises:
        RuntimeError: not every object was followed to the end.
    """
    with (
        given(boxes(count, scale.size_px)),
        smooth_masks(sam2, count),
        clips(scale, 3) as short,
        clips(scale, frames, clip_count) as dataset,
    ):
        stored(short, sam2, settings)
        with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
            with watched(scale.device) as took:
                run = generate_masklets(dataset, sam2, settings, folder)
            rle = MaskletStore(Path(folder)).read(dataset.clips[0].name).table["rle"]
    if run.object_frames != count * frames * clip_count:
        raise RuntimeError(f"{run.object_frames} rows of {objects_of(count)} on {frames} frames")
    mean_bytes = float(np.mean([len(value) for value in rle.to_pylist()]))
    return frames * clip_count / took.seconds, took, mean_bytes


def speed(scale: Scale) -> Iterator[Case]:
    """Ours first, exact and fast, with every number of objects; then stock beside it."""
    reached: dict[tuple[str, int], float] = {}

    def ours(name: str, count: int, preset: str) -> Iterator[Comparison]:
        settings = settings_for(scale, preset)
        sam2 = model(name, scale.device)
        found, took, mask_bytes = fps(scale, sam2, settings, count, scale.frames, scale.clips)
        if preset == "exact":
            reached[name, count] = found
        power = "" if took.power_w is None else f", {took.power_w:.0f} W"
        yield Comparison(
            "gpu",
            f"{sam2.name}, {scale.precision}, {objects_of(count)}, {preset}",
            "",
            "frames/s",
            found,
            objects=count,
            frames=scale.frames * scale.clips,
            object_frames=count * scale.frames * scale.clips,
            ours_peak_mib=took.peak_mib,
            note=f"files to Parquet, {mask_bytes:.0f} bytes a mask{power}; "
            f"the paper reports {PAPER_FPS[0]}-{PAPER_FPS[1]} on an A100",
            details={"bytes_per_mask": mask_bytes},
        )

    every = [(name, count) for count in scale.counts for name in scale.models]
    for preset in ("exact", "fast"):
        for name, count in every:
            yield Case(f"{name}, {objects_of(count)}, {preset}", partial(ours, name, count, preset))
    for name, count in every:
        rows = partial(_beside_stock, scale, name, count, reached)
        yield Case(f"{name}, {objects_of(count)}, stock", rows)


def speed_of_compiled_stock(scale: Scale) -> Iterator[Case]:
    """The same with stock's `vos_optimized`, which is long in compiling; nothing on CPUs."""
    if scale.is_tiny:
        return
    for name in reversed(scale.models):
        rows = partial(_beside_stock, scale, name, scale.counts[0], {}, compiles=True)
        yield Case(f"{name}, {objects_of(scale.counts[0])}, vos_optimized", rows)


def _beside_stock(
    scale: Scale,
    name: str,
    count: int,
    reached: dict[tuple[str, int], float],
    *,
    compiles: bool = False,
) -> Iterator[Comparison]:
    """Stock's frames a second, on fewer frames, beside ours where those have been reached."""
    plain = model(name, scale.device)
    stock = optimized(name, plain) if compiles else plain
    settings = settings_for(scale, "exact").model_copy(update={"engine": "stock"})
    frames = min(scale.frames, max(4, _STOCK_OBJECT_FRAMES // count))
    found, took, _ = fps(scale, stock, settings, count, frames, 1)
    if (name, count) not in reached:
        reached[name, count], *_ = fps(
            scale, plain, settings_for(scale, "exact"), count, scale.frames, 1
        )
    yield Comparison(
        "gpu",
        f"{plain.name}, {scale.precision}, {objects_of(count)}, exact",
        "SAM2VideoPredictor" + ", vos_optimized" * compiles,
        "frames/s",
        reached[name, count],
        found,
        reached[name, count] / found,
        objects=count,
        frames=frames,
        baseline_peak_mib=took.peak_mib,
        note=f"stock on the first {frames} frames of a window",
    )


def settings_for(scale: Scale, preset: str, **changes: Any) -> MaskletSettings:
    """The paper's window and grid, where a card runs them."""
    sizes = {"window": 32, "points_per_side": scale.points_per_side}
    return MaskletSettings.from_preset(preset, precision=scale.precision, **sizes, **changes)


def parts(scale: Scale) -> Iterator[Case]:
    """Seconds of each part, the card waited for before and after.

    So those of the model do not overlap; what is done beside it in threads waits for no card.
    """

    def rows(name: str, count: int) -> Iterator[Comparison]:
        sam2, settings = model(name, scale.device), settings_for(scale, "exact")

        def now() -> float:
            if threading.current_thread() is threading.main_thread():
                wait_for(scale.device)
            return time.perf_counter()

        frames = max(3, scale.frames // 2)
        with (
            given(boxes(count, scale.size_px)),
            smooth_masks(sam2, count),
            clips(scale, 3) as short,
            clips(scale, frames) as dataset,
        ):
            stored(short, sam2, settings)
            with watched_parts(now) as seconds, watched(scale.device) as took:
                stored(dataset, sam2, settings)
        for part in sorted(seconds, key=lambda part: -seconds[part]):
            yield Comparison(
                "gpu",
                f"{sam2.name}, {objects_of(count)}: {part}",
                "",
                "s/frame",
                seconds[part] / frames,
                objects=count,
                frames=frames,
                note=f"{seconds[part] / took.seconds:.1%} of the time, each part waited for",
            )

    for name in scale.models[:1]:
        for count in scale.counts[:2]:
            yield Case(f"{name}, {objects_of(count)}", partial(rows, name, count))
