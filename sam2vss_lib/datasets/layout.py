"""Layouts on disk: where frames and masks lie, split lists, and the pairing of frames and masks.

Everything here lists and compares names; no image is opened. Faults are returned rather than
raised, so that opening a data set can stop at the first and verification can show them all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.errors import SettingsError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
_PLAIN_NAME = re.compile(r"[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class Layout:
    """Where clips lie under a data set root, and what the values of their masks are.

    Attributes:
        frames: folder of a clip's frames, relative to the root, with `{clip}` for its name.
        masks: folder of its masks, likewise.
        mask_values: "labels" for 0..C (VSPW), "panoptic" for `category * 100 + instance` (VIPSeg),
            "segments" for RGB-coded ids that `segments_file` maps to categories (COCO panoptic).
        segments_file: that JSON file, relative to the root; None for the other kinds.
        things: the mask labels (1..C) of countable classes; None where no list is known.
    """

    frames: str
    masks: str
    mask_values: Literal["labels", "panoptic", "segments"] = "labels"
    segments_file: str | None = None
    things: frozenset[int] | None = None

    def frame_folder(self, root: Path, clip: str) -> Path:
        """Folder of a clip's frames."""
        return root / self.frames.format(clip=clip)

    def mask_folder(self, root: Path, clip: str) -> Path:
        """Folder of a clip's masks, whether or not there are any."""
        return root / self.masks.format(clip=clip)


VSPW_LAYOUT = Layout(frames="data/{clip}/origin", masks="data/{clip}/mask")


@dataclass(frozen=True)
class ClipListing:
    """The files of one clip.

    Attributes:
        frame_files: file names of the frames, in the order of time.
        mask_stems: names without suffix of the masks.
    """

    frame_files: tuple[str, ...]
    mask_stems: frozenset[str]


def is_plain_name(name: str) -> bool:
    """Whether a name of a split or clip is safe as one path component, in later stages' too.

    Args:
        name: the name; separators, a drive, control characters, a leading dot (so `..`) and more
            than 200 bytes are refused.

    Returns:
        True if it can be used.
    """
    return _PLAIN_NAME.fullmatch(name) is not None and len(os.fsencode(name)) <= 200


def split_file(root: Path, split: str) -> Path:
    """Find the list of a split.

    Args:
        root: the data set root.
        split: name of the split, such as "val".

    Returns:
        `<root>/<split>.txt`, which exists.

    Raises:
        DataError: the root or the list does not exist.
        SettingsError: `split` is not a plain name.
    """
    if not is_plain_name(split):
        raise SettingsError(f"split is {split!r}; it must be a plain name, such as 'val'")
    if not root.is_dir():
        raise FileFault(root, "no such folder", "give a data set root in VSPW layout, or 'demo'")
    path = root / f"{split}.txt"
    if not path.is_file():
        known = sorted(p.stem for p in root.glob("*.txt") if not p.name.startswith("."))
        hint = f"splits here: {', '.join(known)}" if known else "list one clip name a line in it"
        raise FileFault(path, f"no such split list ({split})", hint)
    return path


def read_split(path: Path) -> tuple[tuple[str, ...], list[FileFault]]:
    """Read a split list: one clip name a line; blank lines and surrounding blanks do not count.

    Args:
        path: the list, in UTF-8, with or without a final newline.

    Returns:
        The usable clip names in the order of the list, and the faults found.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        return (), [FileFault(path, f"not readable as text ({error})", "write it in UTF-8")]
    first_line: dict[str, int] = {}
    faults: list[FileFault] = []
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name:
            continue
        if not is_plain_name(name):
            problem = f"line {number}: {name!r} is not a plain folder name"
            faults.append(FileFault(path, problem, "name a folder directly inside data/"))
        elif name in first_line:
            problem = f"line {number}: clip {name!r} already stands on line {first_line[name]}"
            faults.append(FileFault(path, problem, "remove one of the two lines"))
        else:
            first_line[name] = number
    if not first_line and not faults:
        faults.append(FileFault(path, "split list is empty", "list one clip name a line"))
    return tuple(first_line), faults


def list_clip(
    root: Path, name: str, layout: Layout = VSPW_LAYOUT
) -> tuple[ClipListing, list[FileFault]]:
    """List a clip's frames and masks and check that they pair up.

    A clip without any mask is in order (test splits have no public masks); a clip with some of
    its masks is not.

    Args:
        root: the data set root.
        name: the clip's name.
        layout: where its files lie.

    Returns:
        What is there, and the faults found.

    Raises:
        DataError: a folder cannot be listed.
    """
    frames, masks = layout.frame_folder(root, name), layout.mask_folder(root, name)
    # in VSPW layout a clip's folder holds both, elsewhere its frames alone
    folder = frames.parent if layout == VSPW_LAYOUT else frames
    if not folder.is_dir():
        hint = f"check the split list and {layout.frames.split('/')[0]}/"
        fault = FileFault(folder, "no such clip folder", hint)
        return ClipListing((), frozenset()), [fault]
    by_stem: dict[str, str] = {}
    faults: list[FileFault] = []
    for file in _files(frames, FRAME_SUFFIXES):
        stem = Path(file).stem
        if stem in by_stem:
            problem = f"same frame as {by_stem[stem]}"
            faults.append(FileFault(frames / file, problem, "keep one of the two files"))
        by_stem.setdefault(stem, file)
    if not by_stem:
        problem = "no frames (.jpg, .jpeg or .png)"
        faults.append(FileFault(frames, problem, "put <frame>.jpg files there"))
    mask_stems = frozenset(Path(file).stem for file in _files(masks, (".png",)))
    order = sort_frames(by_stem)
    for stem in order if mask_stems else ():
        if stem not in mask_stems:
            problem = f"no mask for frame {by_stem[stem]}, though other frames have one"
            faults.append(FileFault(masks / f"{stem}.png", problem, "add it or remove the frame"))
    for stem in sort_frames(mask_stems - by_stem.keys()):
        problem = f"mask without a frame in {frames}"
        faults.append(FileFault(masks / f"{stem}.png", problem, "add the frame or remove the mask"))
    return ClipListing(tuple(by_stem[stem] for stem in order), mask_stems), faults


def sort_frames(stems: Iterable[str]) -> tuple[str, ...]:
    """Sort frame names by number if all are numbers, else by their characters."""
    names = sorted(stems)
    if all(name.isascii() and name.isdecimal() for name in names):
        # Compared as text without leading zeros, so that no length of digits is too long.
        names.sort(key=lambda name: (len(name.lstrip("0")), name.lstrip("0")))
    return tuple(names)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Sorted names of a folder's files; hidden ones, such as unfinished writes, do not count."""
    if not folder.is_dir():
        return []
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise FileFault(folder, f"not readable ({error.strerror})", "check its rights") from None
    return [n for n in names if not n.startswith(".") and n.endswith(suffixes)]
