"""What a study has stored, measured: objects on a frame, and bytes of a row, a label map, a frame.

A few clips of every store are read, however many there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sam2vss_lib.datasets import GENERATED, open_dataset
from sam2vss_lib.errors import DataError, first_line
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.validation import validated

_SAMPLED_CLIPS = 3
_LABELS = ("base", "refined", "independent")
#: sam2's `max_obj_ptrs_in_encoder`: tracks in windows at least this long do not depend on which
_POINTER_FRAMES = 16


class ClipObjects(NamedTuple):
    """The masklets of a clip with one setting.

    Attributes:
        frames: of the clip.
        objects: how many masklets have the same (proposal, span), and the frames of the longest.
    """

    frames: int
    objects: dict[tuple[object, int], int]


#: by name of the settings, then by clip
Stores: TypeAlias = Mapping[str, Mapping[str, ClipObjects]]


def settings_name(settings: MaskletSettings) -> str:
    """What the number of objects depends on, in words; not the precision, nor batches."""
    used = "".join(f", {name} {value}" for name, value in settings.in_use().items())
    return (
        f"window {settings.window}, {settings.points_per_side}x{settings.points_per_side} points, "
        f"IoU {settings.pred_iou_thresh:g}, stability {settings.stability_score_thresh:g}{used}"
    )


def measure_objects(stages: Path) -> tuple[dict[str, float], Stores]:
    """Masklets on a frame of every setting that has a store, and the masklets themselves.

    Args:
        stages: `results/<profile>/stages`; may be missing.

    Raises:
        DataError: a store holds something else.
    """
    stores: dict[str, dict[str, ClipObjects]] = defaultdict(dict)
    rows: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    for folder in sorted(stages.glob("masklets/*/")):
        store = MaskletStore(folder)
        for path in sorted(folder.glob("*.parquet"))[:_SAMPLED_CLIPS]:
            metadata = store.metadata(path.stem)
            settings = validated(MaskletSettings, metadata["settings"], "setting")
            name = settings_name(settings)
            rows[name] += pq.read_metadata(path).num_rows
            frames[name] += metadata["frames"]
            stores[name][path.stem] = _clip_objects(path, settings, metadata["frames"])
    return {name: rows[name] / frames[name] for name in rows if frames[name]}, stores


def _clip_objects(path: Path, settings: MaskletSettings, frames: int) -> ClipObjects:
    """The masklets of a file by their proposals: grid, anchor and mask there."""
    try:
        table = pq.read_table(path, columns=["anchor", "masklet", "frame", "rle"])
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: damaged masklet file ({first_line(error)}); delete it and run it again"
        ) from None
    lengths: Counter[int] = Counter(table["masklet"].to_pylist())
    first = table.filter(pc.field("anchor") == pc.field("frame"))
    objects: dict[tuple[object, int], int] = {}
    for row in first.to_pylist():
        length = lengths[row["masklet"]]
        proposal = (settings.points_per_side, row["anchor"], row["rle"])
        objects[proposal, min(length, _POINTER_FRAMES) - 1] = length
    return ClipObjects(frames, objects)


def object_frames(
    stores: Stores, groups: Iterable[Sequence[MaskletSettings]]
) -> dict[tuple[str, ...], float]:
    """Objects on a frame that settings have together, each followed once for all of them.

    As in the engine, a track serves another window too if both are one long, or both so long that
    SAM2 treats them alike; and on its first frame every masklet has the track of any other window.

    Args:
        stores: of `measure_objects`.
        groups: settings that are computed together.

    Returns:
        Per group of more than one, by the sorted names of its settings; a group of which no clip
        has been stored with all settings is missing.
    """
    result: dict[tuple[str, ...], float] = {}
    for group in groups:
        names = tuple(sorted({settings_name(one) for one in group}))
        if len(names) < 2 or any(name not in stores for name in names):
            continue
        common = set.intersection(*({*stores[name]} for name in names))
        followed = frames = 0
        for clip in sorted(common):
            tracks: Counter[tuple[object, int]] = Counter()
            for name in names:
                tracks |= Counter(stores[name][clip].objects)  # the longest of each
            longer = {proposal for proposal, span in tracks if span > 0}
            followed += sum(
                length
                for (proposal, span), length in tracks.items()
                if span or proposal not in longer
            )
            frames += stores[names[0]][clip].frames
        if frames:
            result[names] = followed / frames
    return result


def store_bytes(stages: Path) -> dict[str, float]:
    """Mean bytes of what stages keep.

    Args:
        stages: `results/<profile>/stages`; may be missing.

    Returns:
        `masklet row`, `feature row`, `label map`, and `metrics` of a clip in one evaluation; those
        of which there is nothing are missing.
    """
    found: dict[str, float] = {}
    for name, folder in (("masklet row", "masklets"), ("feature row", "features")):
        paths = [
            path
            for store in sorted(stages.glob(f"{folder}/*/"))
            for path in sorted(store.glob("*.parquet"))[:_SAMPLED_CLIPS]
        ]
        if rows := sum(pq.read_metadata(path).num_rows for path in paths):
            found[name] = sum(path.stat().st_size for path in paths) / rows
    maps = [
        path.stat().st_size
        for kind in _LABELS
        for store in sorted(stages.glob(f"{kind}/*/"))
        for clip in sorted(store.glob("*/"))[:1]
        for path in clip.glob("*.png")
    ]
    if maps:
        found["label map"] = fmean(maps)
    kept = [_metrics_bytes_per_clip(path) for path in sorted(stages.glob("metrics/*/metrics.json"))]
    if kept:
        found["metrics"] = fmean(kept)
    return found


def _metrics_bytes_per_clip(path: Path) -> float:
    size = sum(other.stat().st_size for other in path.parent.iterdir())
    return size / read_json(path)["clips"]


def file_bytes(settings: StudySettings) -> tuple[tuple[int, int] | None, dict[str, float]]:
    """Size of the first frame, and mean bytes of a `frame` and a `mask` of the data set.

    Returns:
        (height, width) in px, and the bytes; None and nothing where the data set is not there.
    """
    demo = settings.dataset in GENERATED
    root = settings.dataset if demo else PROJECT / settings.dataset
    try:
        dataset = open_dataset(root, settings.split, stray_labels=settings.stray_labels)
        clips = dataset.clips[:_SAMPLED_CLIPS]
        frames = [clip.frame_path(i) for clip in clips for i in range(clip.num_frames)]
        masks = [
            clip.mask_path(i)
            for clip in clips
            if clip.has_ground_truth
            for i in range(clip.num_frames)
        ]
        means = {
            name: fmean(path.stat().st_size for path in paths)
            for name, paths in (("frame", frames), ("mask", masks))
            if paths
        }
        return clips[0].size if clips else None, means
    except (DataError, OSError):
        return None, {}
