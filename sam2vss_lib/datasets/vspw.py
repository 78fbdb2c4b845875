"""Splits of a data set in VSPW or VIPSeg layout: opening lists folders and reads no image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sam2vss_lib.datasets.clips import Clip, known_num_classes
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import StrayLabels, check_num_classes
from sam2vss_lib.datasets.layout import Layout, is_plain_name, list_clip, read_split
from sam2vss_lib.datasets.vipseg import find_classes, find_layout, find_split_file
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import sha256_file, sha256_json

GENERATED = ("demo", "demo-b")
"""Data sets that need no folder: they are generated on first use."""
_FRAMES_LAYOUT = Layout(frames="{clip}", masks="{clip}/mask")


@dataclass(frozen=True)
class Dataset:
    """A split of a data set.

    Attributes:
        root: the data set root.
        split: name of the split.
        clips: its clips in the order of the split list.
        class_names: the C class names, label 0 first; None without a class list.
        class_count: C, or None when neither a class list nor the caller says.
        stray_labels: what to do with mask values that are no class.
    """

    root: Path
    split: str
    clips: tuple[Clip, ...]
    class_names: tuple[str, ...] | None
    class_count: int | None
    stray_labels: StrayLabels = "error"

    @property
    def num_classes(self) -> int:
        """C, the number of classes.

        Raises:
            DataError: it is unknown.
        """
        return known_num_classes(self.class_count, self.root)

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

        Returns:
            SHA-256 as hexadecimal; the same wherever the root lies and however clips are ordered.

        Raises:
            DataError: a file is missing or not readable.
        """
        paths = [clip.frame_path(i) for clip in self for i in range(clip.num_frames)]
        paths += [
            clip.mask_path(i)
            for clip in self
            if clip.has_ground_truth
            for i in range(clip.num_frames)
        ]
        lists = {c.root / c.layout.segments_file for c in self if c.layout.segments_file}
        paths += sorted(lists)
        try:
            return sha256_json(
                sorted(
                    (path.relative_to(self.root).as_posix(), sha256_file(path)) for path in paths
                )
            )
        except OSError as error:
            raise FileFault(
                str(error.filename), f"not readable ({error.strerror})", "check the file"
            ) from None


def open_dataset(
    root: str | Path,
    split: str,
    *,
    num_classes: int | None = None,
    stray_labels: StrayLabels = "error",
    clips: Sequence[str] | None = None,
) -> Dataset:
    """Open a split of a data set in VSPW or VIPSeg layout; folders are listed, no image is read.

    Args:
        root: the data set root, or "demo" or "demo-b" for generated data.
        split: name of the split: `<root>/<split>.txt` lists its clips.
        num_classes: C; by default that of the root's class list. Only ground truth needs it.
        stray_labels: "error" refuses mask values that are no class, "void" reads them as void.
        clips: names of the clips to use, in this order; by default all of the split.

    Returns:
        The data set; only the clips in use are looked at.

    Raises:
        DataError: root, split list or clip folders are missing, or frames and masks do not pair up.
        SettingsError: an argument cannot be used, or disagrees with the class list.
    """
    root = resolve_root(root)
    layout = find_layout(root, split)
    path = find_split_file(root, split, layout)
    names, faults = read_split(path)
    if faults:
        raise faults[0]
    class_names, layout = find_classes(root, layout)
    class_count = agreed_num_classes(num_classes, class_names, root)
    chosen = names if clips is None else tuple(dict.fromkeys(clips))
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        problem = f"{unknown[0]!r} is not in {path}" if unknown else "no name is given"
        raise SettingsError(f"clips: {problem}; name clips of that list, or leave clips out")
    opened = tuple(_open_clip(root, name, class_count, stray_labels, layout) for name in chosen)
    return Dataset(root, split, opened, class_names, class_count, stray_labels)


def open_frames(folder: str | Path, *, num_classes: int | None = None) -> Dataset:
    """Open a folder of images as a data set of one clip, which has the folder's name.

    Args:
        folder: its JPEG and PNG files are the frames, sorted as in any clip; masks, as in VSPW
            layout, may lie in a folder `mask` inside it.
        num_classes: C. Only ground truth needs it.

    Raises:
        DataError: there is no such folder, or no frame in it.
        SettingsError: the folder's name or the number of classes cannot be used.
    """
    path = Path(os.path.abspath(folder))
    if not is_plain_name(path.name):
        raise SettingsError(f"folder {path}: its name is no plain name for a clip; rename it")
    if not path.is_dir():
        raise FileFault(path, "no such folder", "give a folder of .jpg or .png frames")
    class_count = agreed_num_classes(num_classes, None, path)
    clip = _open_clip(path.parent, path.name, class_count, "error", _FRAMES_LAYOUT)
    return Dataset(path.parent, "frames", (clip,), None, class_count)


def resolve_root(root: str | Path) -> Path:
    """The folder of a data set root; `GENERATED` names stand for generated data."""
    if str(root) not in GENERATED:
        return Path(root)
    # Imported here: no other data set should wait for the generator's imports.
    from sam2vss_lib.datasets.demo import demo_root

    return demo_root(str(root))


def agreed_num_classes(
    num_classes: int | None, class_names: Sequence[str] | None, root: Path
) -> int | None:
    """The number of classes, given by the caller, by the root's class list, by both or neither.

    Raises:
        SettingsError: the two disagree, or the number cannot be used.
    """
    if num_classes is None:
        return None if class_names is None else len(class_names)
    check_num_classes(num_classes)
    if class_names is not None and len(class_names) != num_classes:
        raise SettingsError(
            f"num_classes is {num_classes} but the class list in {root} has {len(class_names)}; "
            "leave num_classes out or correct the list"
        )
    return num_classes


def _open_clip(
    root: Path, name: str, class_count: int | None, stray_labels: StrayLabels, layout: Layout
) -> Clip:
    """List a clip and raise its first fault, if any."""
    listing, faults = list_clip(root, name, layout)
    if faults:
        more = f" (and {len(faults) - 1} more faults in clip {name})" if len(faults) > 1 else ""
        raise FileFault(faults[0].file, faults[0].problem, faults[0].hint + more)
    has_masks = bool(listing.mask_stems)
    return Clip(name, root, listing.frame_files, has_masks, class_count, stray_labels, layout)
