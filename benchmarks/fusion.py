"""What weighing evidence costs: `refine --vote adaptive` beside the window vote.

All that a command does is timed, reading and writing included: the window vote reads labels and
masklets, adaptive frames and probabilities too, which is a third of what it takes here. So that
this is seen, the soft vote is timed beside them, which reads the same probabilities.

What evidence costs goes by the pixels on which base model and vote differ, and by how many parts
they are in. On CamVid (a small network's predictions, tracked components of the ground truth as
masklets) these are 14 % of a frame's 173,000 pixels in 190 parts; on the demo 5.6 % of 77,000 in
160. The generated frames have 9.5 % of 409,000 in 730, under 43 masklets that cover 89 %, and
probabilities of all 124 classes that hardly compress, as those of a softmax do.

CamVid itself is timed where it lies beside the repository, in `shared/data`.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from benchmarks.evaluate import SIZE_PX, write_clips
from benchmarks.rows import side_by_side
from sam2vss_lib.datasets import Clip, Dataset, open_dataset
from sam2vss_lib.datasets.labels import Labels, class_palette
from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_CLASSES = 124
_MAP_PX = (60, 107)  # of the probabilities
_BLOBS = 60  # of a frame on which the base model is wrong
_STRIPS = 4  # that a class is cut into
Inputs = tuple[Dataset, PredictionFolder, MaskletStore]


def run(*, quick: bool, repeats: int) -> Iterator[Comparison]:
    """VSPW's size and classes, one thread: evidence and rule within twice the window vote."""
    torch.set_num_threads(1)
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        inputs = write_inputs(Path(folder), 8 if quick else 50)
        size = f"{SIZE_PX[0]}x{SIZE_PX[1]}, {_CLASSES} classes"
        yield from _rows(inputs, size, repeats, warm_up=not quick)
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    if shared.is_dir():
        base = PredictionFolder(shared / "camvid_base", 11)
        store = MaskletStore(shared / "camvid_masklets" / "good")
        inputs = open_dataset(shared / "camvid", "val"), base, store
        yield from _rows(inputs, "CamVid", repeats, warm_up=not quick)


def _rows(inputs: Inputs, case: str, repeats: int, *, warm_up: bool) -> list[Comparison]:
    frames = sum(clip.num_frames for clip in inputs[0])
    return side_by_side(
        lambda: _refined(*inputs, "adaptive"),
        {
            "window vote": lambda: _refined(*inputs, "masklet"),
            "soft vote": lambda: _refined(*inputs, "soft"),
        },
        repeats=repeats,
        warm_up=warm_up,
        least_ratio=1 / 3,
        section="fusion",
        case=f"adaptive vote, {frames} frames of {case}",
        frames=frames,
    )


def write_inputs(root: Path, frames: int) -> Inputs:
    """One clip whose masklets follow what is there, and a base model that is wrong here and there.

    Labels are shifted by some pixels and have blobs of other classes, frames are noise around a
    colour of each class, masklets are parts of the ground truth.
    """
    write_clips(root, 1, frames)
    dataset = open_dataset(root, "val")
    base, store = PredictionFolder(root / "base", _CLASSES), MaskletStore(root / "masklets")
    (clip,) = dataset
    random, (down, across) = np.random.default_rng(0), np.ogrid[: SIZE_PX[0], : SIZE_PX[1]]
    blobs = np.column_stack([random.random((_BLOBS, 2)) * SIZE_PX, random.uniform(4, 18, _BLOBS)])
    said = np.unique(clip.ground_truth(0)[:-4])[random.integers(0, 12, _BLOBS)]
    for index in range(frames):
        truth, labels = clip.ground_truth(index), base.read(clip, index).copy()
        for (y, x, radius), label in zip(blobs, said, strict=True):
            labels[(down - y) ** 2 + (across - x + index) ** 2 < radius**2] = label
        base.write(clip, index, labels, _probabilities(labels, random))
        noise = random.normal(0, 20, (*SIZE_PX, 3))
        image = (class_palette(_CLASSES + 1)[np.minimum(truth, _CLASSES)] + noise).clip(0, 255)
        Image.fromarray(image.astype(np.uint8)).save(clip.frame_path(index), quality=90)
    _write_masklets(clip, store, frames)
    return open_dataset(root, "val"), base, store


def _write_masklets(clip: Clip, store: MaskletStore, frames: int) -> None:
    """The classes of the first frame in four strips, of ten one left out; a pixel to go a frame."""
    strip = np.arange(SIZE_PX[1]) * _STRIPS // SIZE_PX[1]
    part = clip.ground_truth(0).astype(int) * _STRIPS + strip
    numbers = np.unique(part[:-4])
    numbers = numbers[np.arange(len(numbers)) % 10 > 0]
    scores = np.random.default_rng(0).random(len(numbers)).astype(np.float32)
    about = {"settings": {}, "settings_sha256": "", "checkpoint_sha256": "", "frames": frames}
    with store.writer(clip.name, {**about, "clip": clip.name}) as writer:
        for frame in range(frames):
            moved = np.full_like(part, -1)
            moved[:, : SIZE_PX[1] - frame] = part[:, frame:]
            masks = moved == numbers[:, None, None]
            writer.add(
                mask_columns(masks), encode_masks(masks), window=0, anchor=0, frame=frame,
                predicted_iou=scores, stability=scores, object_score=scores,
            )  # fmt: skip


def _probabilities(labels: Labels, random: np.random.Generator) -> np.ndarray:
    """Most of the probability for the label, some for every other, as of a softmax, float16."""
    down, across = (np.arange(n) * size // n for n, size in zip(_MAP_PX, SIZE_PX, strict=True))
    logits = random.normal(0, 1.5, (_CLASSES, *_MAP_PX)).astype(np.float32)
    place = labels[down[:, None], across][None].astype(np.intp)
    np.put_along_axis(logits, place, random.uniform(5, 9, (1, *_MAP_PX)).astype(np.float32), 0)
    chances = np.exp(logits)
    return (chances / chances.sum(0)).astype(np.float16)


def _refined(dataset: Dataset, base: PredictionFolder, store: MaskletStore, vote: str) -> None:
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        out = PredictionFolder(Path(folder), base.num_classes)
        refine(dataset, base, store, out, RefineSettings(vote=vote))
