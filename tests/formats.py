"""Small roots with official names and 124 classes, and predictions in every system's own format.

Written from the formats' documentation and evaluation code, apart from the readers they test.
"""

import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2vss_lib.storage.places import manifest_path

SIZE = (30, 48)  # (height, width)
THINGS = [3, 48, 61, 62, 124]  # door, roadblock, person, cat, train: mask labels
STUFF = [1, 2, 7, 14, 19, 29, 30, 95]  # wall, ceiling, slide, floor, road, ...: mask labels


@dataclass(frozen=True)
class FakeClip:
    """A clip with its labels and instances.

    Attributes:
        name: official clip name.
        frames: frame names; not from 1, as clips are cut from longer videos.
        labels: (T, H, W) uint8, 0..123 and 255.
        instances: (T, H, W) uint8, 0.. for the things of a class.
    """

    name: str
    frames: tuple[str, ...]
    labels: np.ndarray
    instances: np.ndarray


def fake_clips(count: int, num_frames: int = 4, seed: int = 0) -> list[FakeClip]:
    """Clips named as the first ones of VIPSeg's val split, with stuff, moving things and void."""
    names = manifest_path("splits/vipseg_val.txt").read_text().split()[:count]
    rng = np.random.default_rng(seed)
    height, width = SIZE
    clips: list[FakeClip] = []
    for name in names:
        labels = np.zeros((num_frames, height, width), np.uint8)
        instances = np.zeros_like(labels)
        upper, lower = rng.choice(STUFF, 2, replace=False) - 1
        labels[:], labels[:, height // 2 :] = upper, lower
        for instance, thing in enumerate(rng.choice(THINGS, 3)):  # at times two of one class
            x, y = rng.integers(0, width - 16), rng.integers(0, height - 10)
            for t in range(num_frames):
                window = np.s_[t, y : y + 8, x + t : x + t + 12]
                labels[window], instances[window] = thing - 1, instance
        labels[:, :2] = 255
        first = int(rng.integers(1, 900))
        frames = tuple(f"{first + 4 * t:08d}" for t in range(num_frames))
        clips.append(FakeClip(name, frames, labels, instances))
    return clips


def degraded(clips: list[FakeClip], seed: int = 1, *, void: bool = True) -> list[FakeClip]:
    """Predictions as a weak model would make them: shifted, with blots of other classes."""
    rng = np.random.default_rng(seed)
    made: list[FakeClip] = []
    for clip in clips:
        labels, instances = np.roll(clip.labels, 2, axis=2), np.roll(clip.instances, 2, axis=2)
        for t in range(len(labels)):
            x, y = rng.integers(0, SIZE[1] - 6), rng.integers(0, SIZE[0] - 6)
            window = np.s_[t, y : y + 6, x : x + 6]
            labels[window], instances[window] = rng.choice(STUFF) - 1, 0
        if not void:
            labels[labels == 255] = 123
        made.append(replace(clip, labels=labels, instances=instances))
    return made


def write_frames(folder: Path, clip: FakeClip) -> None:
    """Frames whose colours follow the labels."""
    folder.mkdir(parents=True)
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    for labels, frame in zip(clip.labels, clip.frames, strict=True):
        Image.fromarray(colours[labels]).save(folder / f"{frame}.jpg", quality=95)


def write_vspw(root: Path, clips: list[FakeClip]) -> Path:
    """A root as VSPW publishes it: classes from 1, void 0 or 255, and its own class list."""
    for clip in clips:
        write_frames(root / "data" / clip.name / "origin", clip)
        for frame, labels in zip(clip.frames, clip.labels, strict=True):
            values = np.where(labels == 255, 255, labels + 1).astype(np.uint8)
            values[0] = np.where(values[0] == 255, 0, values[0])
            save(root / "data" / clip.name / "mask" / f"{frame}.png", values)
    names = json.loads(manifest_path("vspw_classes.json").read_text())
    published = {"others": "0"} | {name: label for label, name in names.items()}
    (root / "label_num_dic_final.json").write_text(json.dumps(published))
    (root / "val.txt").write_text("\n".join(clip.name for clip in clips))
    return root


def write_vipseg(root: Path, clips: list[FakeClip], *, images: str = "imgs") -> Path:
    """A root as VIPSeg publishes it: frames, 16-bit panoptic masks, split list, no class list."""
    for clip in clips:
        write_frames(root / images / clip.name, clip)
    write_vipseg_images(root / "panomasks", clips)
    (root / "val.txt").write_text("\n".join(clip.name for clip in clips) + "\n")
    return root


def write_vipseg_images(root: Path, clips: list[FakeClip]) -> Path:
    """16-bit PNGs of class for stuff, 100 * class + instance for things, 0 for void."""
    for clip in clips:
        for frame, ids in zip(clip.frames, panoptic_ids(clip), strict=True):
            save(root / clip.name / f"{frame}.png", ids)
    return root


def panoptic_ids(clip: FakeClip) -> np.ndarray:
    """(T, H, W) uint16 ids of VIPSeg."""
    category = clip.labels.astype(np.uint16) + 1
    things = 100 * category + clip.instances
    return np.where(
        clip.labels == 255, 0, np.where(np.isin(category, THINGS), things, category)
    ).astype(np.uint16)


def write_index(
    root: Path, clips: list[FakeClip], *, offset: int = 0, palette: bool = False
) -> Path:
    """Label PNGs, as the VSPW systems write them (`mode P`, classes from 0)."""
    for clip in clips:
        for frame, labels in zip(clip.frames, clip.labels, strict=True):
            values = np.where(labels == 255, 255, labels + offset).astype(np.uint8)
            save(root / clip.name / f"{frame}.png", values, palette)
    return root


def write_segments(
    images: Path, json_path: Path, clips: list[FakeClip], suffix: str = ".jpg"
) -> Path:
    """COCO's video panoptic form: RGB-coded ids, and their categories for each frame."""
    rng = np.random.default_rng(3)
    annotations: list[dict[str, Any]] = []
    for clip in clips:
        ids = panoptic_ids(clip)
        colour_of = {0: 0}
        frames: list[dict[str, Any]] = []
        for frame, values in zip(clip.frames, ids, strict=True):
            segments: list[dict[str, Any]] = []
            for value in np.unique(values[values > 0]).tolist():
                colour = colour_of.setdefault(value, int(rng.integers(1, 2**24)))
                category = (value if value < 125 else value // 100) - 1
                area = int((values == value).sum())
                segments.append({"id": colour, "category_id": category, "iscrowd": 0, "area": area})
            coded = np.vectorize(colour_of.__getitem__)(values)
            rgb = np.stack([coded % 256, coded // 256 % 256, coded // 65536], axis=-1)
            save(images / clip.name / f"{frame}.png", rgb.astype(np.uint8))
            frames.append({"file_name": f"{frame}{suffix}", "segments_info": segments})
        annotations.append({"video_id": clip.name, "annotations": frames})
    json_path.write_text(json.dumps({"annotations": annotations}))
    return json_path.parent


def write_dvis(root: Path, clips: list[FakeClip]) -> Path:
    """What DVIS, DVIS++ and CAVIS write: `pan_pred/` and `pred.json`."""
    root.mkdir()
    return write_segments(root / "pan_pred", root / "pred.json", clips)


def write_mmseg(
    path: Path, clips: list[FakeClip], *, dtype: str = "int64", protocol: int = 2, offset: int = 0
) -> Path:
    """What mmsegmentation dumps: a pickled list of arrays, by default in protocol 2 as mmcv's."""
    results = [(frame + offset).astype(dtype) for clip in clips for frame in clip.labels]
    path.write_bytes(pickle.dumps(results, protocol=protocol))
    return path


def save(path: Path, values: np.ndarray, palette: bool = False) -> None:
    """A PNG, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    image.save(path)
