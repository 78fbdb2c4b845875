"""Layouts on disk: where a root's frames and masks lie, and which of a clip's belong together.

A root in VSPW layout holds `data/<clip>/origin/<frame>.jpg` and `data/<clip>/mask/<frame>.png`,
VIPSeg as published `imgs/<clip>/<frame>.jpg` and `panomasks/<clip>/<frame>.png`. VIPSeg's official
scripts make of it a folder `VIPSeg_720P` with `images/` and `panomasks/` and, for COCO tools, with
`panomasksRGB/` and `panoptic_gt_VIPSeg_<split>.json`; split lists stay one folder above.

Everything here lists and compares names; no image is opened.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import MASK_OFFSET
from sam2vss_lib.datasets.listing import (
    FRAME_SUFFIXES,
    MASK_SUFFIXES,
    is_junk,
    list_frames,
    list_images,
    stem_of,
)

_PLAIN_NAME = re.compile(r"(?!\.)[^/\\:\x00-\x1f\x7f\ud800-\udfff]+")


@dataclass(frozen=True)
class Layout:
    """Where clips lie under a data set root, and what the values of their masks are.

    They are "labels" of 0..C (VSPW), "panoptic" for `category * 100 + instance` (VIPSeg), or
    "segments" for RGB-coded ids that a JSON file maps to categories (COCO panoptic).
    """

    frames: str  # folder of a clip's frames, relative to the root, with `{clip}` for its name
    masks: str  # folder of its masks, likewise
    mask_values: Literal["labels", "panoptic", "segments"] = "labels"
    segments_file: str | None = None  # relative to the root; None for the other kinds
    things: frozenset[int] | None = None  # labels (1..C) of countable classes; None if unknown
    mask_offset: int = MASK_OFFSET  # for "labels", the first class: 1, or 0 for 0..C-1

    def frame_folder(self, root: Path, clip: str) -> Path:
        """Folder of a clip's frames."""
        return root / self.frames.format(clip=clip)

    def mask_folder(self, root: Path, clip: str) -> Path:
        """Folder of a clip's masks, whether or not there are any."""
        return root / self.masks.format(clip=clip)


VSPW_LAYOUT = Layout(frames="data/{clip}/origin", masks="data/{clip}/mask")
_VIPSEG_LAYOUT = Layout("imgs/{clip}", "panomasks/{clip}", "panoptic")
VIPSEG_720P_LAYOUT = Layout("images/{clip}", "panomasks/{clip}", "panoptic")


def find_layout(root: Path, split: str) -> Layout:
    """Tell a root's layout by its folders.

    The root need not exist, and the split is part of the name of the list of segments. Masks in
    `panomasks/` are preferred to `panomasksRGB/`, which say the same in a longer way. A layout of
    VIPSeg is without its `things`; it is VSPW's where there are no VIPSeg folders.
    """
    layouts = (VSPW_LAYOUT, _VIPSEG_LAYOUT, VIPSEG_720P_LAYOUT)
    there = (one for one in layouts if (root / one.frames.split("/")[0]).is_dir())
    layout = next(there, VSPW_LAYOUT)
    only_rgb = (root / "panomasksRGB").is_dir() and not (root / "panomasks").is_dir()
    if layout == VSPW_LAYOUT or not only_rgb:
        return layout
    return replace(
        layout,
        masks="panomasksRGB/{clip}",
        mask_values="segments",
        segments_file=f"panoptic_gt_VIPSeg_{split}.json",
    )


def is_root(folder: Path, split: str) -> bool:
    """Whether a folder is a data set root rather than one that holds, or should hold, images.

    A root has the list of the split, or folders and no image.
    """
    if not folder.is_dir() or (folder / f"{split}.txt").is_file():
        return folder.is_dir()
    names = [name for name in os.listdir(folder) if not is_junk(name)]
    if any(name.lower().endswith(FRAME_SUFFIXES) for name in names):
        return False
    return any((folder / name).is_dir() for name in names)


def is_plain_name(name: str) -> bool:
    """Whether a name of a split or clip is safe as one path component, in later stages' too.

    Separators, a drive, control characters, bytes that are not UTF-8, a leading dot (so `..`) and
    over 200 bytes are not, and neither are outer blanks, which lists of clips do not keep.
    """
    return (
        name == name.strip()
        and _PLAIN_NAME.fullmatch(name) is not None
        and len(os.fsencode(name)) <= 200
    )


@dataclass(frozen=True)
class ClipListing:
    """The files of one clip.

    Faults are kept rather than raised, so that opening a data set can stop at the first and
    verification can show them all.
    """

    frame_files: tuple[str, ...]  # names in the order of time
    mask_files: dict[str, str]  # name without suffix -> name, of masks with and without a frame
    faults: list[FileFault]

    def masks_of_frames(self) -> tuple[str | None, ...]:
        """The name of each frame's mask, None for a frame without one."""
        return tuple(self.mask_files.get(stem_of(file)) for file in self.frame_files)


def list_clip(root: Path, name: str, layout: Layout) -> ClipListing:
    """List a clip's frames and masks and check that they pair up.

    Frames without a mask are in order (test splits have no public masks, and many data sets have
    masks of some frames only); a mask without a frame is not.

    Raises:
        DataError: a folder cannot be listed.
    """
    frames, masks = layout.frame_folder(root, name), layout.mask_folder(root, name)
    # in VSPW layout a clip's folder holds both, elsewhere its frames alone
    folder = frames.parent if layout.frames == VSPW_LAYOUT.frames else frames
    if not folder.is_dir():
        hint = f"check the split list and {layout.frames.split('/')[0]}/"
        return ClipListing((), {}, [FileFault(folder, "no such clip folder", hint)])
    shown, drawn = list_frames(frames), list_images(masks, MASK_SUFFIXES)
    # the folder of the masks may lie among the frames
    faults = [fault for fault in (*shown.faults, *drawn.faults) if fault.file != str(masks)]
    for stem, file in drawn.files.items():
        if stem not in shown.files:
            problem = f"mask without a frame in {frames}"
            hint = "add the frame or move the mask away"
            faults.append(FileFault(masks / file, problem, hint))
    return ClipListing(tuple(shown.files.values()), drawn.files, faults)
