"""Splits of a data set in VSPW or VIPSeg layout: opening lists folders and reads no image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sam2vss_lib.datasets.clips import Clip, known_num_classes
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import (
    MASK_OFFSET,
    StrayLabels,
    check_mask_offset,
    check_num_classes,
)
from sam2vss_lib.datasets.layout import Layout, is_plain_name, list_clip
from sam2vss_lib.datasets.splits import Split, find_split
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import sha256_file, sha256_json

_FRAMES_LAYOUT = Layout(frames="{clip}", masks="{clip}/mask")


@dataclass(frozen=True)
class Dataset:
    """A split of a data set."""

    root: Path
    split: str
    clips: tuple[Clip, ...]  # in the order of the split list
    class_names: tuple[str, ...] | None  # C of them, label 0 first; None without a class list
    class_count: int | None  # C, None when neither a class list nor the caller says

    @property
    def num_classes(self) -> int:
        """C, the number of classes.

        Raises:
            DataError: it is unknown.
        """
        return known_num_classes(self.class_count, self.root)

    @property
    def mask_offset(self) -> int:
        """Number of the first class in mask files: 1, or 0 where 0 is a class."""
        return self.clips[0].layout.mask_offset if self.clips else MASK_OFFSET

    @property
    def stray_labels(self) -> StrayLabels:
        """What to do with mask values that are no class."""
        return self.clips[0].stray_labels if self.clips else "error"

    def __iter__(self) -> Iterator[Clip]:
        """Iterate over the clips."""
        return iter(self.clips)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def clip(self, name: str) -> Clip:
        """Look up a clip by its name.

        Raises:
            SettingsError: no clip of this name is in use.
        """
        for clip in self.clips:
            if clip.name == name:
                return clip
        raise SettingsError(f"clip {name!r} is not in split {self.split!r} of {self.root}")

    def take(self, max_clips: int | None) -> Dataset:
        """The same data set with its first `max_clips` clips only; None keeps all.

        Raises:
            SettingsError: `max_clips` is less than 1.
        """
        if max_clips is not None and max_clips < 1:
            raise SettingsError(f"max_clips is {max_clips}; it must be at least 1, or not be given")
        return replace(self, clips=self.clips[:max_clips])

    def content_sha256(self) -> str:
        """Hash what is read: relative path and SHA-256 of every frame, mask and list in use.

        Masks of 0..C-1 are another content than the same files read as 1..C.

        Returns:
            SHA-256 as hexadecimal; the same wherever the root lies and however clips are ordered.

        Raises:
            DataError: a file is missing or not readable.
        """
        paths = {c.root / c.layout.segments_file for c in self if c.layout.segments_file}
        for clip in self:
            paths |= {clip.frame_path(i) for i in range(clip.num_frames)}
            paths |= {clip.mask_path(i) for i in clip.annotated}
        try:
            found = [(path.relative_to(self.root).as_posix(), sha256_file(path)) for path in paths]
        except OSError as error:
            problem = f"not readable ({error.strerror})"
            raise FileFault(str(error.filename), problem, "check the file") from None
        if self.mask_offset != MASK_OFFSET:
            found.append(("mask_offset", str(self.mask_offset)))
        return sha256_json(sorted(found))


def open_dataset(
    root: str | Path,
    split: str,
    *,
    num_classes: int | None = None,
    mask_offset: int | None = None,
    stray_labels: StrayLabels = "error",
    clips: Sequence[str] | None = None,
) -> Dataset:
    """Open a split of a data set in VSPW or VIPSeg layout; folders are listed, no image is read.

    Args:
        root: the data set root, or "demo" or "demo-b" for generated data.
        split: name of the split: `<root>/<split>.txt` lists its clips.
        num_classes: C; by default that of the root's class list. Only ground truth needs it.
        mask_offset: 0 for masks of 0..C-1 where 0 is a class, 1 for 1..C where it is void; by
            default as the root's class list numbers them, else 1.
        stray_labels: "error" refuses mask values that are no class, "void" reads them as void.
        clips: names of the clips to use, in this order; by default all of the split.

    Returns:
        The data set; only the clips in use are looked at.

    Raises:
        DataError: root, split list or clip folders are missing, or frames and masks do not pair up.
        SettingsError: an argument cannot be used, or disagrees with the class list.
    """
    found = find_split(root, split, num_classes, mask_offset)
    if found.faults:
        raise found.faults[0]
    chosen = found.clips if clips is None else tuple(dict.fromkeys(clips))
    unknown = [name for name in chosen if name not in found.clips]
    if unknown or not chosen:
        problem = f"{unknown[0]!r} is not in {found.path}" if unknown else "no name is given"
        raise SettingsError(f"clips: {problem}; name clips of that list, or leave clips out")
    opened = tuple(_open_clip(found, name, stray_labels) for name in chosen)
    return Dataset(found.root, split, opened, found.class_names, found.class_count)


def open_frames(
    folder: str | Path, *, num_classes: int | None = None, mask_offset: int = MASK_OFFSET
) -> Dataset:
    """Open a folder of images as a data set of one clip, which has the folder's name.

    Its images are the frames, sorted as in any clip; masks, as in VSPW layout, may lie in a folder
    `mask` inside it. Only ground truth needs the number of classes and `mask_offset`, see
    `open_dataset`.

    Raises:
        DataError: there is no such folder, or no frame in it.
        SettingsError: the folder's name, the number of classes or the offset cannot be used.
    """
    path = Path(os.path.abspath(folder))
    if not is_plain_name(path.name):
        raise SettingsError(f"folder {path}: its name is no plain name for a clip; rename it")
    if not path.is_dir():
        raise FileFault(path, "no such folder", "give a folder of .jpg or .png frames")
    if num_classes is not None:
        check_num_classes(num_classes)
    check_mask_offset(mask_offset)
    layout = replace(_FRAMES_LAYOUT, mask_offset=mask_offset)
    one = Split(path.parent, "frames", path, layout, (path.name,), None, num_classes, [])
    return Dataset(one.root, one.name, (_open_clip(one, path.name, "error"),), None, num_classes)


def _open_clip(split: Split, name: str, stray_labels: StrayLabels) -> Clip:
    """List a clip and raise its first fault, if any."""
    root, layout = split.root, split.layout
    listing = list_clip(root, name, layout)
    if listing.faults:
        first, *others = listing.faults
        more = f" (and {len(others)} more faults in clip {name})" if others else ""
        raise FileFault(first.file, first.problem, first.hint + more)
    files, count = listing.frame_files, split.class_count
    return Clip(name, root, files, listing.masks_of_frames(), count, stray_labels, layout)
