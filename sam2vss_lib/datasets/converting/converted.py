"""Clips that appear whole or not at all, and the record of what each was made from."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.layout import VSPW_LAYOUT, Layout
from sam2vss_lib.storage.files import read_json, sha256_json, write_json
from sam2vss_lib.storage.records import check_same_inputs
from sam2vss_lib.storage.targets import check_folder

#: in a data set root; records and unfinished clips, out of the way of anybody's loader
_HIDDEN = Path(".sam2vss")
UNPACKED = _HIDDEN / "unpacked"  # where an archive is unpacked while it is converted
LOCK = _HIDDEN / "lock"  # that one conversion at a time holds
_KEPT = (
    "it is kept: convert into another folder (of apply: another --out), or a video under another "
    "--clip"
)


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

    The caller holds the root's lock. A run that is killed leaves no part of a clip in its place,
    or what the next run completes; nothing that is there is removed or replaced.
    `made_from` are source and settings; `write` is given a new folder each for the clip's frames
    and for its masks, of which the latter may stay empty.

    Returns:
        Whether it was there already.

    Raises:
        DataError: it is there, but was made from something else or by somebody else.
    """
    frames, masks = layout.frame_folder(root, name), layout.mask_folder(root, name)
    record = root / _HIDDEN / "made_from" / f"{name}.json"
    building, whole = (root / _HIDDEN / state / name for state in ("unfinished", "whole"))
    if whole.is_dir():  # of a run that was killed
        _put_in_place(whole, frames, masks)
    if record.is_file() and frames.is_dir():
        check_same_inputs(frames, read_json(record), made_from, _KEPT)
        return True
    _refuse_what_is_there(frames, masks)
    for place in (frames, masks):  # before any work
        check_folder(place.parent)
    shutil.rmtree(building, ignore_errors=True)  # what a killed run has left
    new_frames, new_masks = building / "frames", building / "masks"
    new_frames.mkdir(parents=True)
    new_masks.mkdir()
    try:
        write(new_frames, new_masks)
        write_json(record, made_from)
        whole.parent.mkdir(exist_ok=True)
        building.rename(whole)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        for empty in (building.parent, root / _HIDDEN):
            with suppress(OSError):  # it is not
                empty.rmdir()
    _put_in_place(whole, frames, masks)
    return False


def _put_in_place(whole: Path, frames: Path, masks: Path) -> None:
    """Move a finished clip, or what is left of it, to its place: its frames last."""
    for new, place in ((whole / "masks", masks), (whole / "frames", frames)):
        if new.is_dir() and any(new.iterdir()):
            _refuse_what_is_there(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            new.rename(place)
    shutil.rmtree(whole)


def _refuse_what_is_there(*places: Path) -> None:
    for place in places:
        if os.path.lexists(place):
            raise FileFault(place, "is there already, and was not made by this conversion", _KEPT)
