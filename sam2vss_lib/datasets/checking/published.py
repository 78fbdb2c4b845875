"""What a split should hold, as its authors published it, against what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sam2vss_lib.datasets.class_names import read_class_names
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.layout import read_split
from sam2vss_lib.datasets.manifests import DatasetFacts, load_datasets_manifest
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.places import manifest_path

MAX_MISSING_FRAMES = 0.01
"""Share of the published frames that may be missing: VSPW's own archives lack up to 0.5 % of what
its paper counts, while an interrupted copy loses whole clips."""


def published_facts(name: str, split: str) -> DatasetFacts:
    """Facts about a published data set.

    Raises:
        SettingsError: no such data set, or it has no such split.
    """
    known = load_datasets_manifest()
    if name not in known:
        raise SettingsError(f"unknown data set {name!r}; known are: {', '.join(known)}")
    if split not in known[name].splits:
        raise SettingsError(f"{name} has no split {split!r} but {', '.join(known[name].splits)}")
    return known[name]


def compare_with_published(
    facts: DatasetFacts,
    split_path: Path,
    clips: Sequence[str],
    class_names: Sequence[str] | None,
    num_frames: int,
    num_masks: int,
) -> list[FileFault]:
    """Compare a split with what its authors published.

    Args:
        facts: the data set's entry in the manifest.
        split_path: the split list, whose name without suffix is the split's.
        clips: names of its clips.
        class_names: the root's class names, label 0 first; None if it has none.
        num_frames: frames found.
        num_masks: masks found.

    Returns:
        One fault for each number or list that differs.
    """
    split = facts.splits[split_path.stem]
    official, _ = read_split(manifest_path(split.clip_list))
    faults: list[FileFault] = []
    hint = f"take the list that comes with {facts.name}, or verify without --expect"
    lacking, others = sorted({*official} - {*clips}), sorted({*clips} - {*official})
    if lacking:
        problem = f"lacks {len(lacking)} clips of the official list, such as {lacking[0]}"
        faults.append(FileFault(split_path, problem, hint))
    if others:
        problem = f"names {len(others)} clips that are not official, such as {others[0]}"
        faults.append(FileFault(split_path, problem, hint))
    official_classes = read_class_names(manifest_path(facts.class_names))
    if class_names is not None and tuple(class_names) != official_classes:
        problem = f"its class list is not the official one of {facts.classes} classes"
        faults.append(FileFault(split_path.parent, problem, "restore the published class list"))
    if split.frames and num_frames < split.frames * (1 - MAX_MISSING_FRAMES):
        problem = f"{num_frames} frames, but {split.frames} were published"
        hint = "likely an interrupted copy or unpacking: unpack the archive again"
        faults.append(FileFault(split_path, problem, hint))
    if split.masks and num_frames and not num_masks:
        problem = "no masks, though the masks of this split are public"
        faults.append(FileFault(split_path, problem, "unpack the archive of the masks, too"))
    return faults
