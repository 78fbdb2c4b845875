"""Where the engine and stock part: both keep memories in bfloat16, whose last bit may flip.

Which bits flip depends on the order of the sums, so on the processor's instructions and on the
number of threads. What it comes from is therefore shown on the memories themselves; how far logits
then are apart is luck within limits.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from sam2 import sam2_video_predictor
from torch import Tensor

from benchmarks.inputs import boxes, demo_clip
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.frames import encoded_frames
from sam2vss_lib.masklets.engines.batched.memory import writer as memory_writer
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison


class _TorchOfFloat32:
    """torch, but who rounds to bfloat16 gets float32."""

    bfloat16 = torch.float32

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


class MemoryDifferences(NamedTuple):
    """How far the memories of both programs are apart, made from memories in float32.

    Attributes:
        before: largest difference of two memories as the memory encoders give them.
        after: largest difference once both are rounded to bfloat16.
        largest: largest absolute value of a memory.
        flipped: share of values that round differently.
        one_step: whether each of these is the next bfloat16 of the other.
    """

    before: float
    after: float
    largest: float
    flipped: float
    one_step: bool


def run(*, quick: bool) -> Iterator[Comparison]:
    """Largest differences of memories and logits, memories as stock keeps them and in float32."""
    model, count, frames = load_sam2("demo"), 3, 3 if quick else 16
    case = f"demo, {count} boxes, {frames} frames"
    with demo_clip(frames) as dataset:
        clip = dataset.clips[0]
        kept_rounded = largest_differences(model, clip, count)
        with _memories_in_float32(), _seen_memories() as (ours, stocks):
            kept_exact = largest_differences(model, clip, count)
    found = compared(ours, stocks)
    yield Comparison(
        "equality",
        f"{case}, memories rounded to bfloat16",
        "SAM2VideoPredictor",
        "value of a memory",
        found.after,
        objects=count,
        frames=frames,
        note=f"largest difference; {found.before:.1e} before rounding, of values up to "
        f"{found.largest:.1f}; {100 * found.flipped:.2g} % of them round differently",
        details=found._asdict(),
    )
    for kept, largest in (("bfloat16", kept_rounded), ("float32", kept_exact)):
        yield Comparison(
            "equality",
            f"{case}, memories kept in {kept}",
            "SAM2VideoPredictor",
            "logit",
            max(largest),
            objects=count,
            frames=frames,
            note="largest difference of logits, by frame: "
            + ", ".join(f"{difference:.1e}" for difference in largest),
        )


def largest_differences(model: Sam2Model, clip: Clip, count: int) -> list[float]:
    """Of the logits of all pixels and objects, frame by frame."""
    masks = boxes(count, clip.size)
    frames = encoded_frames(clip, model, (), batch_frames=2)
    ours = WindowTracker(model).track(lambda _offset: next(frames).video, masks, clip.num_frames)
    paths = [clip.frame_path(index) for index in range(clip.num_frames)]
    pairs = zip(ours, propagate(model, paths, masks), strict=True)
    return [float((a.logits - b.logits).abs().max()) for a, b in pairs]


def compared(ours: list[Tensor], stocks: list[Tensor]) -> MemoryDifferences:
    """Compare memories.

    Args:
        ours: (n, p, M) float32 of every remembered frame, in order.
        stocks: (1, M, h, w) float32, object by object, frame by frame; p = h w. Those of the last
            frame, which the engine does not make, may follow.
    """
    count = len(ours[0])
    a = torch.stack(ours)
    b = torch.cat(stocks[: len(ours) * count]).flatten(2).transpose(1, 2).reshape(a.shape)
    a16, b16 = a.to(torch.bfloat16), b.to(torch.bfloat16)
    flipped = a16 != b16
    steps = (a16.view(torch.int16).int() - b16.view(torch.int16).int()).abs()[flipped]
    return MemoryDifferences(
        before=float((a - b).abs().max()),
        after=float((a16.float() - b16.float()).abs().max()),
        largest=float(b.abs().max()),
        flipped=float(flipped.float().mean()),
        one_step=bool((steps == 1).all()),
    )


@contextmanager
def _memories_in_float32() -> Generator[None]:
    """Neither program rounds its memories."""
    with ExitStack() as stack:
        for module in (sam2_video_predictor, memory_writer):
            stack.enter_context(patch.object(module, "torch", _TorchOfFloat32()))
        yield


@contextmanager
def _seen_memories() -> Generator[tuple[list[Tensor], list[Tensor]]]:
    """The memories that the engine and stock make inside, in their order."""
    ours, stocks = list[Tensor](), list[Tensor]()
    write = memory_writer.MemoryWriter.write
    encode = sam2_video_predictor.SAM2VideoPredictor._encode_new_memory

    def spying_write(*args: Any, **options: Any) -> Tensor:
        ours.append(write(*args, **options))
        return ours[-1]

    def spying_encode(*args: Any, **options: Any) -> Any:
        made = encode(*args, **options)
        stocks.append(made[0].detach().clone())
        return made

    with (
        patch.object(memory_writer.MemoryWriter, "write", spying_write),
        patch.object(sam2_video_predictor.SAM2VideoPredictor, "_encode_new_memory", spying_encode),
    ):
        yield ours, stocks
