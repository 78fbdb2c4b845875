"""Where the engine's time goes: one window from files to the store, part by part."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inputs import demo_clip, matrix_rate_flops
from benchmarks.windows import into_new_store
from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched import clip, frames
from sam2vss_lib.masklets.engines.batched.drawing import drawn, frame_size
from sam2vss_lib.masklets.engines.batched.drawing.drawn import Drawn
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import VisibleParts
from sam2vss_lib.masklets.engines.batched.heads import Heads
from sam2vss_lib.masklets.engines.batched.memory.reader import MemoryReader
from sam2vss_lib.masklets.engines.batched.memory.writer import MemoryWriter
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import ClipWriter
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

#: part -> functions, where they are looked up; what one of these calls counts as its own
_PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "decoding and resizing, beside": ((Clip, "frame"), (frames, "model_input")),
    "image encoder": ((frames, "encode"),),
    "proposals": ((clip, "propose"), (clip, "survivors")),
    "memory attention": ((MemoryReader, "read"),),
    "mask decoder": ((Heads, "decode"), (Heads, "pointers_of_masks")),
    "memory encoder": ((MemoryWriter, "write"),),
    "masks to the frame's size": ((frame_size, "at_frame_size"),),
    "changes along columns": ((drawn, "changes"),),
    "who is seen": ((VisibleParts, "add"), (VisibleParts, "owners")),
    "run lengths, beside": ((Drawn, "runs"), (clip, "run_columns"), (clip, "encode_runs")),
    "writing, beside": ((ClipWriter, "add"), (ClipWriter, "flush")),
}
_BESIDE = ", beside"  # of a part that another thread does while the model goes on


@contextmanager
def watched_parts(amount: Callable[[], float]) -> Generator[dict[str, float]]:
    """By how much each part of the engine has raised an amount, such as the time, meanwhile."""
    found, inside = dict.fromkeys(_PARTS, 0.0), threading.local()

    def counted(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            if getattr(inside, "a_part", False):
                return function(*arguments, **named)
            inside.a_part, before = True, amount()
            result = function(*arguments, **named)
            inside.a_part = False
            found[part] += amount() - before
            return result

        return run

    with ExitStack() as stack:
        for part, places in _PARTS.items():
            for owner, name in places:
                watched = counted(part, getattr(owner, name))
                stack.enter_context(patch.object(owner, name, watched))
        yield found


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """One row per part, in the order of time taken, of the quickest of several runs."""
    num_frames = 4 if quick else 16
    settings = MaskletSettings(window=num_frames, points_per_side=8 if quick else 16)
    model = load_sam2("demo")
    with demo_clip(num_frames) as dataset:

        def work() -> int:
            return into_new_store(dataset, model, settings).masklets

        masklets = work()
        whole_s, seconds = min((_timed(work) for _ in range(repeats)), key=lambda run: run[0])
        with (
            FlopCounterMode(display=False) as counter,
            watched_parts(counter.get_total_flops) as flops,
        ):
            work()
    in_turn_s = sum(part_s for part, part_s in seconds.items() if not part.endswith(_BESIDE))
    seconds["everything else"] = whole_s - in_turn_s
    rate = matrix_rate_flops(model.device)
    for part in sorted(seconds, key=lambda part: -seconds[part]):
        share, gflop = seconds[part] / whole_s, flops.get(part, 0) / 1e9
        achieved = gflop * 1e9 / seconds[part] / rate
        yield Comparison(
            "profile",
            f"demo, grid {settings.points_per_side}, {num_frames} frames: {part}",
            "",
            "s",
            seconds[part],
            repeats=repeats,
            objects=masklets,
            frames=num_frames,
            note=f"{share:.1%} of {whole_s:.2f} s"
            + (f"; {achieved:.0%} of the rate of a large matrix product" if gflop else ""),
            details={"share": share, "gflop": gflop, "share_of_matrix_rate": achieved},
        )


def _timed(work: Callable[[], object]) -> tuple[float, dict[str, float]]:
    """Seconds of the whole and of its parts."""
    with watched_parts(time.perf_counter) as seconds:
        started = time.perf_counter()
        work()
        whole_s = time.perf_counter() - started
    return whole_s, seconds
