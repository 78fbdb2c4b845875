"""Verification of one clip: every file is read once, decoded completely, and hashed if wanted."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from sam2vss_lib.datasets.clips import Clip
from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.datasets.images import check_same_size, decode_frame, decode_values
from sam2vss_lib.datasets.labels import check_mask_values
from sam2vss_lib.datasets.layout import list_clip
from sam2vss_lib.datasets.listing import say_uneven_steps


@dataclass
class ClipFindings:
    """What was found in one clip.

    Faults are the first one of every faulty file, and those of the clip as a whole; hashes are by
    path relative to the root, of every readable file if hashing. Notes are no faults.
    """

    name: str
    num_frames: int = 0
    num_masks: int = 0
    num_annotated: int = 0  # frames with a mask
    num_with_zero: int = 0  # masks of labels that hold the value 0
    mask_values: set[int] = field(default_factory=set[int])  # of masks of labels
    faults: list[FileFault] = field(default_factory=list[FileFault])
    sha256: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])


def verify_clip(template: Clip, hashing: bool, name: str) -> ClipFindings:
    """Read every file of one clip, and hash it if wanted; faults do not raise.

    `template` is the clip but for its name and files; without its number of classes, masks are only
    decoded.
    """
    found, root, layout = ClipFindings(name), template.root, template.layout
    try:
        listing = list_clip(root, name, layout)
    except FileFault as fault:
        found.faults = [fault]
        return found
    found.faults = listing.faults
    found.num_frames, found.num_masks = len(listing.frame_files), len(listing.mask_files)
    masks, has_masks = listing.masks_of_frames(), bool(listing.mask_files)
    found.num_annotated = len(masks) - masks.count(None)
    if uneven := say_uneven_steps(Path(file).stem for file in listing.frame_files):
        found.notes.append(f"clip {name}: {uneven}")
    clip = replace(template, name=name, frame_files=listing.frame_files, mask_files=masks)
    # The first readable image stands for the clip's size, so that one bad frame hides no other.
    reference: tuple[str, tuple[int, int]] | None = None
    # Paths are plain text here: for small images, pathlib takes as long as decoding them.
    folders = [str(folder(root, name)) for folder in (layout.frame_folder, layout.mask_folder)]
    for i, (file, mask) in enumerate(zip(listing.frame_files, masks, strict=True)):
        paths = [f"{folders[0]}/{file}"]
        if mask is not None:
            paths.append(f"{folders[1]}/{mask}")
        for is_mask, path in enumerate(paths):
            try:
                data = read_bytes(path)
                if hashing:
                    found.sha256[_relative(path, root)] = hashlib.sha256(data).hexdigest()
                if is_mask:
                    size = _mask_size(clip, i, path, data, found)
                else:
                    width, height = decode_frame(path, data, has_masks=has_masks).size
                    size = (height, width)
                reference = reference or (path, size)
                check_same_size(path, size, *reference)
            except FileFault as fault:
                found.faults.append(fault)
    return found


def _mask_size(clip: Clip, i: int, path: str, data: bytes, found: ClipFindings) -> tuple[int, int]:
    """(height, width) of the mask of frame `i`, whose values are checked."""
    if clip.class_count is not None and clip.layout.mask_values != "labels":
        height, width = clip.read_mask(i).shape
        return height, width
    image = decode_values(path, data, "labels")
    if clip.class_count is not None:
        # a histogram is much faster than an array of the labels, which nobody needs here
        values = [value for value, count in enumerate(image.histogram()) if count]
        found.num_with_zero += 0 in values
        found.mask_values |= {*values}
        check_mask_values(
            values, clip.class_count, clip.stray_labels, path, clip.layout.mask_offset
        )
    return image.height, image.width


def _relative(path: str, root: Path) -> str:
    """A path below the root, relative to it, with forward slashes."""
    return path[len(str(root)) :].lstrip("/")
