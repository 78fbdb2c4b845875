"""Clips that appear whole or not at all, and the record of what each was made from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.layout import VSPW_LAYOUT, Layout
from sam2vss_lib.storage.files import read_json, sha256_json, write_json
from sam2vss_lib.storage.records import check_same_inputs

#: in a data set root; records and unfinished clips, out of the way of anybody's loader
_HIDDEN = Path(".sam2vss")
UNPACKED = _HIDDEN / "unpacked"  # where an archive is unpacked while it is converted
LOCK = _HIDDEN / "lock"  # that one conversion at a time holds


def listing_sha256(files: list[Path]) -> str:
    """Hash of the names and sizes of files: tells another source without reading all of it."""
    return sha256_json([(path.name, path.stat().st_size) for path in files])


def make_clip(
    root: Path,
    name: str,
    made_from: dict[str, Any],
    write: Callable[[Path, Path], None],
    layout: Layout = VSPW_LAYOUT,
) -> bool:
    """Make one clip of a data set root, unless it is there already.

    The caller holds the root's lock. A run that is killed leaves no part of a clip in its place.
    `made_from` are source and settings; `write` is given a new folder each for the clip's frames
    and for its masks, of which the latter may stay empty.

    Returns:
        Whether it was there already.

    Raises:
        DataError: it is there, but was made from something else or by somebody else.
    """
    frames, masks = layout.frame_folder(root, name), layout.mask_folder(root, name)
    record = root / _HIDDEN / "made_from" / f"{name}.json"
    if record.is_file():
        stored = read_json(record)
        if frames.is_dir():
            check_same_inputs(frames, stored, made_from)
            return True
    elif frames.exists() or masks.exists():
        problem = "is there already, and was not made by this conversion"
        raise FileFault(frames, problem, "move it away or convert to another folder")
    building = root / _HIDDEN / "unfinished" / name
    shutil.rmtree(building, ignore_errors=True)  # what a killed run has left
    shutil.rmtree(masks, ignore_errors=True)
    new_frames, new_masks = building / "frames", building / "masks"
    new_frames.mkdir(parents=True)
    new_masks.mkdir()
    try:
        write(new_frames, new_masks)
        write_json(record, made_from)
        # frames come last: a clip is there if they are
        if any(new_masks.iterdir()):
            masks.parent.mkdir(parents=True, exist_ok=True)
            new_masks.rename(masks)
        frames.parent.mkdir(parents=True, exist_ok=True)
        new_frames.rename(frames)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return False
