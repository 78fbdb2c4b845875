"""The explorer beside its promises: redrawing, scrubbing, and memory on a long clip.

Frames have VSPW's size, and 100 masklets that overlap, on one core.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.memory import own_peak_mib
from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison
from sam2vss_lib.widgets.data import ExplorerData
from sam2vss_lib.widgets.explorer import Explorer

_SIZE_PX = (480, 853)
_CLASSES, _MASKLETS, _PICTURES = 124, 100, 8  # classes of VSPW; frames that differ
_REDRAW_S, _FRAME_S = 0.2, 0.1
_LOOSE = MaskletSettings(pred_iou_thresh=0.2, stability_score_thresh=0.2)
_ROOT = Path(__file__).resolve().parents[1]


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """Seconds of a redraw and of a new frame, and memory by the length of the clip."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        masklets = 20 if quick else _MASKLETS
        with long_clip(64, masklets) as data:
            for vote in ("frame", "masklet"):
                case = f"redraw after a threshold, {vote} vote"
                yield _promise(case, masklets, redraws(data, vote, repeats), _REDRAW_S)
            case = "scrub, a frame, frame vote"
            yield _promise(case, masklets, scrubs(data, repeats), _FRAME_S)
    finally:
        torch.set_num_threads(threads)
    lengths = (16, 64) if quick else (512, 1000)  # from 512 frames on all memories are full
    short, long = (peak_of(frames) for frames in lengths)
    apart = [facts["peak_mib"] - facts["stored_mib"] for facts in (short, long)]
    yield Comparison(
        "explorer",
        f"memory of {_MASKLETS} masklets on every frame, {_SIZE_PX[0]} x {_SIZE_PX[1]} px",
        f"{lengths[0]} frames",
        "MiB",
        long["peak_mib"],
        short["peak_mib"],
        short["peak_mib"] / long["peak_mib"],
        frames=lengths[1],
        objects=_MASKLETS,
        ours_peak_mib=long["peak_mib"],
        baseline_peak_mib=short["peak_mib"],
        target="" if quick else f"within 10 % of {lengths[0]} frames, stored run lengths apart",
        met=None if quick else apart[1] <= 1.1 * apart[0],
        details={"stored_mib": long["stored_mib"], "baseline_stored_mib": short["stored_mib"]},
    )


def _promise(case: str, masklets: int, seconds: list[float], most_s: float) -> Comparison:
    return Comparison(
        "explorer",
        f"{case}, {_SIZE_PX[0]} x {_SIZE_PX[1]} px",
        f"{most_s:g} s",
        "s",
        min(seconds),
        most_s,
        most_s / min(seconds),
        most_s / float(np.median(seconds)),
        repeats=len(seconds),
        objects=masklets,
        target=f"at most {most_s:g} s",
        met=float(np.median(seconds)) <= most_s,
        details={"longest": max(seconds)},
    )


def redraws(data: ExplorerData, vote: str, repeats: int) -> list[float]:
    """Seconds of each redraw while the threshold of the predicted IoU is dragged."""
    explorer = Explorer(data)
    explorer.canvas.layers = [
        {**layer, "opacity": 0.5 if layer["name"] in ("refined", "masklets", "changes") else 0.0}
        for layer in explorer.canvas.layers
    ]
    explorer.controls.all["vote"].value = vote
    explorer.draw()

    def drag(step: int) -> None:
        explorer.controls.all["iou"].value = round(0.3 + 0.05 * (step % 10), 2)

    return [_timed(explorer, drag, step) for step in range(5 * repeats)]


def scrubs(data: ExplorerData, repeats: int) -> list[float]:
    """Seconds of each frame on the way through the clip, none of which is known."""
    explorer = Explorer(data)

    def go(step: int) -> None:
        explorer.canvas.frame = (explorer.canvas.frame + 1) % explorer.canvas.frames

    return [_timed(explorer, go, step) for step in range(min(10 * repeats, 60))]


def _timed(explorer: Explorer, move: Callable[[int], None], step: int) -> float:
    move(step)
    started = time.perf_counter()
    explorer.draw()
    return time.perf_counter() - started


@contextmanager
def long_clip(frames: int, masklets: int = _MASKLETS) -> Generator[ExplorerData]:
    """A clip with predictions and masklets, of which eight frames are repeated again and again."""
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        root = Path(folder)
        clip = Clip("long", root, tuple(f"{i:08d}.jpg" for i in range(frames)))
        base = PredictionFolder(root / "base", _CLASSES)
        clip.frame_path(0).parent.mkdir(parents=True)
        rng = np.random.default_rng(0)
        wide = _SIZE_PX[1], _SIZE_PX[0]
        tables = list[tuple[object, list[bytes]]]()
        for index in range(min(frames, _PICTURES)):
            noise = rng.integers(0, 255, (15, 27, 3), np.uint8)
            picture = Image.fromarray(noise).resize(wide, Image.Resampling.BICUBIC)
            picture.save(clip.frame_path(index), quality=92)
            coarse = rng.integers(0, _CLASSES, (15, 27)).astype(np.uint8)
            labels = Image.fromarray(coarse).resize(wide, Image.Resampling.NEAREST)
            base.write(clip, index, np.asarray(labels))
            masks = ellipses(masklets, index)
            visible = masks & (np.cumsum(masks, axis=0, dtype=np.uint8) == 1)
            tables.append((mask_columns(masks), encode_masks(visible)))
        for index in range(_PICTURES, frames):
            clip.frame_path(index).symlink_to(clip.frame_path(index % _PICTURES))
            path = base.root / clip.name / f"{clip.frames[index]}.png"
            path.symlink_to(base.path(clip, index % _PICTURES))
        store = MaskletStore(root / "masklets")
        scores = np.linspace(0.3, 0.99, masklets).astype(np.float32)
        metadata = {
            "settings": _LOOSE.identity(),
            "settings_sha256": _LOOSE.sha256(),
            "checkpoint_sha256": "",
            "clip": clip.name,
            "frames": frames,
        }
        with store.writer(clip.name, metadata) as writer:
            for frame in range(frames):
                table, rles = tables[frame % _PICTURES]
                writer.add(
                    table,
                    rles,
                    window=frame // _LOOSE.window,
                    anchor=frame - frame % _LOOSE.window,
                    frame=frame,
                    predicted_iou=scores,
                    stability=scores[::-1].copy(),
                    object_score=np.ones(masklets, np.float32),
                )
        dataset = Dataset(root, "val", (clip,), None, None)
        names = tuple(f"class {i}" for i in range(_CLASSES))
        yield ExplorerData(dataset, names, {"base": base}, [store])


def ellipses(count: int, shift: int) -> NDArray[np.bool_]:
    """(count, H, W) masks: ellipses of all sizes, each moved a little with `shift`."""
    rng, (height, width) = np.random.default_rng(1), _SIZE_PX
    y, x = np.mgrid[:height, :width].astype(np.float32)
    masks = np.zeros((count, height, width), np.bool_)
    for mask in masks:
        cy, cx = rng.uniform(0, height), rng.uniform(0, width) + 3 * shift
        ry, rx = rng.uniform(10, height / 4), rng.uniform(10, width / 4)
        mask[:] = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return masks


def peak_of(frames: int) -> dict[str, float]:
    """Peak memory of a process that has drawn every frame of a clip, with every vote counted."""
    command = [sys.executable, "-m", "benchmarks.explorer", str(frames)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """What `peak_of` runs in a process of its own."""
    torch.set_num_threads(1)
    with long_clip(int(sys.argv[1])) as data:
        explorer = Explorer(data)
        for frame in range(explorer.canvas.frames):
            explorer.canvas.frame = frame
            explorer.draw()
        stored = data.opened("long", explorer.controls.choice).stored.table.nbytes / 2**20
        facts = {"frames": explorer.canvas.frames, "stored_mib": stored}
        json.dump({"peak_mib": own_peak_mib(), **facts}, sys.stdout)


if __name__ == "__main__":
    main()
