"""Verification of a data set: every file is read, and every faulty one is listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from sam2vss_lib.datasets.clips import Clip, known_num_classes
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.images import check_same_size, read_frame, read_label_image
from sam2vss_lib.datasets.labels import StrayLabels
from sam2vss_lib.datasets.layout import Layout, list_clip, read_split
from sam2vss_lib.datasets.vipseg import find_classes, find_layout, find_split_file
from sam2vss_lib.datasets.vspw import agreed_num_classes, resolve_root
from sam2vss_lib.errors import SettingsError


class FaultRecord(BaseModel):
    """One fault: the file, what is wrong with it, and its likely cause or the fix."""

    model_config = ConfigDict(frozen=True)

    file: str
    problem: str
    hint: str


class VerifyReport(BaseModel):
    """What a verification found; `model_dump(mode="json")` makes it JSON.

    Attributes:
        root: the data set root.
        split: name of the split.
        num_classes: C, or None when unknown.
        num_clips: clips in the split list.
        num_frames: frames found in these clips.
        num_masks: masks found in these clips.
        faults: those of the lists, then the first fault of every faulty file in the order of the
            clips, then those of the split as a whole.
    """

    model_config = ConfigDict(frozen=True)

    root: str
    split: str
    num_classes: int | None
    num_clips: int
    num_frames: int
    num_masks: int
    faults: tuple[FaultRecord, ...]

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def summary(self) -> str:
        """The report for people: a line of counts, then a line for each fault."""
        counts = (
            f"{self.root}, split {self.split}: {self.num_clips} clips, {self.num_frames} frames, "
            f"{self.num_masks} masks, {len(self.faults)} faults"
        )
        return "\n".join(
            [counts, *(str(FileFault(f.file, f.problem, f.hint)) for f in self.faults)]
        )


def verify_dataset(
    root: str | Path,
    split: str,
    *,
    num_classes: int | None = None,
    stray_labels: StrayLabels = "error",
    clips: Sequence[str] | None = None,
    workers: int = 2,
) -> VerifyReport:
    """Read every frame and mask of a split and list all faults.

    Checked are the split list, the class list, the pairing of frames and masks, and that each file
    decodes completely, has its clip's size and holds valid labels. On a terminal a bar shows the
    progress.

    Args:
        root: the data set root, or "demo" or "demo-b" for generated data.
        split: name of the split.
        num_classes: C; by default that of the root's class list.
        stray_labels: whether mask values that are no class are a fault ("error") or not ("void").
        clips: names of the clips to verify; by default all of the split.
        workers: threads that read files.

    Returns:
        The report; faults in the data do not raise.

    Raises:
        DataError: there is no such root or split list.
        SettingsError: an argument cannot be used, or disagrees with the class list.
    """
    if workers < 1:
        raise SettingsError(f"workers is {workers}; it must be at least 1")
    root = resolve_root(root)
    layout = find_layout(root, split)
    names, faults = read_split(find_split_file(root, split, layout))
    if clips is not None:
        unknown = sorted(set(clips) - set(names))
        if unknown:
            raise SettingsError(f"clips: {unknown[0]!r} is not in split {split!r} of {root}")
        names = tuple(name for name in names if name in clips)
    try:
        class_names, layout = find_classes(root, layout)
    except FileFault as fault:
        faults.append(fault)
        class_names = None
    class_count = agreed_num_classes(num_classes, class_names, root)

    def verify_clip(name: str) -> tuple[int, int, list[FileFault]]:
        return _verify_clip(root, name, class_count, stray_labels, layout)

    num_frames = num_masks = 0
    unmasked: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(verify_clip, names)
        progress = tqdm(results, "verify", len(names), disable=None)  # None: terminals only
        for name, (frames, masks, clip_faults) in zip(names, progress, strict=True):
            num_frames += frames
            num_masks += masks
            faults += clip_faults
            if frames and not masks:
                unmasked.append(name)
    for name in unmasked if num_masks else ():
        folder = layout.mask_folder(root, name)
        problem = f"clip {name} has no masks, though other clips of the split have"
        faults.append(FileFault(folder, problem, "likely not copied: add the folder"))
    if num_masks and class_count is None:
        # Unread labels must not pass for verified ones.
        try:
            known_num_classes(None, root)
        except FileFault as fault:
            faults.append(fault)
    return VerifyReport(
        root=str(root),
        split=split,
        num_classes=class_count,
        num_clips=len(names),
        num_frames=num_frames,
        num_masks=num_masks,
        faults=tuple(FaultRecord(file=f.file, problem=f.problem, hint=f.hint) for f in faults),
    )


def _verify_clip(
    root: Path, name: str, class_count: int | None, stray_labels: StrayLabels, layout: Layout
) -> tuple[int, int, list[FileFault]]:
    """Read one clip; returns the numbers of its frames and masks, and its faults."""
    try:
        listing, faults = list_clip(root, name, layout)
    except FileFault as fault:
        return 0, 0, [fault]

    has_masks = bool(listing.mask_stems)
    clip = Clip(name, root, listing.frame_files, has_masks, class_count, stray_labels, layout)
    files: list[tuple[Path, Callable[[], NDArray[np.uint8]]]] = []
    for i, stem in enumerate(clip.frames):
        path = clip.frame_path(i)
        files.append((path, partial(read_frame, path)))
        if stem in listing.mask_stems:
            path = clip.mask_path(i)
            # without a number of classes at least the image can be checked
            unlabelled = partial(read_label_image, path)
            files.append((path, unlabelled if class_count is None else partial(clip.read_mask, i)))
    # The first readable image stands for the clip's size, so that one bad frame hides no other.
    reference: tuple[Path, tuple[int, ...]] | None = None
    for path, read in files:
        try:
            shape = read().shape[:2]
            reference = reference or (path, shape)
            check_same_size(path, shape, *reference)
        except FileFault as fault:
            faults.append(fault)
    return clip.num_frames, len(listing.mask_stems), faults
