"""Verification of a data set: every file is read, and every faulty one is listed."""

import os
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from sam2vss_lib.datasets.checking.checksums import (
    checksum_list,
    compare_checksums,
    read_checksums,
    write_checksums,
)
from sam2vss_lib.datasets.checking.published import compare_with_published, published_facts
from sam2vss_lib.datasets.checking.verify_clip import verify_clip
from sam2vss_lib.datasets.class_names import CLASS_FILES, read_class_names
from sam2vss_lib.datasets.clips import Clip, known_num_classes
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import StrayLabels
from sam2vss_lib.datasets.splits import Split, find_split
from sam2vss_lib.parallel.processes import map_in_processes
from sam2vss_lib.storage.files import sha256_file
from sam2vss_lib.storage.places import manifest_path
from sam2vss_lib.storage.targets import check_file

_NOTES_SHOWN = 5
_NEARLY_ALL = 0.9  # share of masks with the value 0 from which on it may be a class


class FaultRecord(BaseModel, frozen=True):
    """A fault names a file, what is wrong with it, and the likely cause or the fix."""

    file: str
    problem: str
    hint: str


class VerifyReport(BaseModel, frozen=True):
    """What a verification found; `model_dump(mode="json")` makes it JSON.

    A list of checksums is not written while there are faults. Faults are those of the lists, then
    the first one of every faulty file in the order of the clips, then those of the split as a
    whole, then files that differ from the checksums.
    """

    root: str
    split: str
    num_classes: int | None  # None when unknown
    num_clips: int  # in the split list
    num_frames: int  # found in these clips
    num_masks: int  # likewise
    annotated_share: float  # of the frames, in 0..1
    checksums: Literal["none", "compared", "written"] = "none"
    faults: tuple[FaultRecord, ...]
    notes: tuple[str, ...] = ()  # what is no fault, but may be a mistake

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def summary(self) -> str:
        """The report for people: a line of counts, then one for each fault and the first notes."""
        checksums = "" if self.checksums == "none" else f", checksums {self.checksums}"
        partly = 0 < self.annotated_share < 1
        share = f" ({self.annotated_share:.1%} of the frames are annotated)" if partly else ""
        counts = (
            f"{self.root}, split {self.split}: {self.num_clips} clips, {self.num_frames} frames, "
            f"{self.num_masks} masks{share}{checksums}, {len(self.faults)} faults"
        )
        faults = (str(FileFault(**dict(fault))) for fault in self.faults)
        notes = [f"note: {note}" for note in self.notes[:_NOTES_SHOWN]]
        if len(self.notes) > _NOTES_SHOWN:
            notes.append(f"note: {len(self.notes)} notes in all; --json lists them")
        return "\n".join((counts, *faults, *notes))


def verify_dataset(
    root: str | Path,
    split: str,
    *,
    num_classes: int | None = None,
    mask_offset: int | None = None,
    stray_labels: StrayLabels = "error",
    expect: str | None = None,
    write_manifest: bool = False,
    workers: int = 1,
) -> VerifyReport:
    """Read every frame and mask of a split and list all faults.

    Checked are the split list, the class list, the pairing of frames and masks, and that each file
    decodes completely, has its clip's size and holds valid labels. Where `<root>/<split>.sha256`
    lists checksums, a changed, missing or added file is a fault, too. On a terminal a bar shows
    the progress.

    Arguments that `open_dataset` has, too, are as there. If it should be a published data set
    (`data_manifests/datasets.yaml`), clips, classes and counts that differ from what you `expect`
    are faults. With `write_manifest`, the checksums of all files are written anew instead of being
    compared, if there is no fault. A script that asks for more than one worker process needs
    `if __name__ == "__main__":`.

    Returns:
        The report; faults in the data do not raise.

    Raises:
        DataError: there is no such root or split list, or the checksums cannot be read.
        SettingsError: an argument cannot be used, or disagrees with the class list.
    """
    found = find_split(root, split, num_classes, mask_offset)
    facts = None if expect is None else published_facts(expect, split)
    root, faults = found.root, found.faults
    listed = checksum_list(root, split)
    if write_manifest:
        check_file(listed)
    compare = listed.is_file() and not write_manifest
    recorded = read_checksums(listed) if listed.is_file() else {}  # no other file is replaced
    hashing = compare or write_manifest

    num_frames = num_masks = num_annotated = num_with_zero = 0
    unmasked, notes, values = list[str](), list[str](), set[int]()
    sha256 = _hash_lists(found) if hashing else {}
    clip = Clip("", root, (), (), found.class_count, stray_labels, found.layout)
    verify = partial(verify_clip, clip, hashing)
    for one in map_in_processes(verify, found.clips, workers=workers, what="verify"):
        num_frames += one.num_frames
        num_masks += one.num_masks
        num_annotated += one.num_annotated
        num_with_zero += one.num_with_zero
        values |= one.mask_values
        faults += one.faults
        sha256 |= one.sha256
        notes += one.notes
        if one.num_frames and not one.num_masks:
            unmasked.append(one.name)
    if num_masks:
        for name in unmasked:
            folder = found.layout.mask_folder(root, name)
            problem = f"clip {name} has no masks, though other clips of the split have"
            faults.append(FileFault(folder, problem, "likely not copied: add the folder"))
        try:
            # Unread labels must not pass for verified ones.
            known_num_classes(found.class_count, root)
        except FileFault as fault:
            faults.append(fault)
    if facts is not None:
        faults += compare_with_published(facts, found, num_frames, num_annotated)
    if compare:
        known = {fault.file for fault in faults}
        differing = compare_checksums(root, recorded, sha256)
        faults += [fault for fault in differing if fault.file not in known]
    written = write_manifest and not faults
    if written:
        write_checksums(listed, sha256)
    return VerifyReport(
        root=str(root),
        split=split,
        num_classes=found.class_count,
        num_clips=len(found.clips),
        num_frames=num_frames,
        num_masks=num_masks,
        annotated_share=num_annotated / max(num_frames, 1),
        checksums="compared" if compare else "written" if written else "none",
        faults=tuple(FaultRecord.model_validate(f, from_attributes=True) for f in faults),
        notes=(*_offset_notes(found, values, num_with_zero / max(num_masks, 1)), *notes),
    )


def _offset_notes(split: Split, values: set[int], share_with_zero: float) -> tuple[str, ...]:
    """Whether the values of masks that are read as 1..C suggest that they are 0..C-1.

    Of VSPW it is known that they do not, and many of its clips lack its last class.
    """
    last, first = split.class_count, split.layout.mask_offset
    if first == 0 or last in (None, *values) or share_with_zero < _NEARLY_ALL:
        return ()
    if split.class_names == read_class_names(manifest_path("vspw_classes.json")):
        return ()
    return (
        f"warning: no mask holds class {last}, and {share_with_zero:.0%} of them hold 0, which is "
        "read as void; if 0 is a class, number the classes from 0 in classes.json, or give "
        "--mask-offset 0 where there is none",
    )


def _hash_lists(split: Split) -> dict[str, str]:
    """SHA-256 of the lists that a split is read with: of its clips, classes and segments."""
    names = [*CLASS_FILES, split.layout.segments_file or ""]
    lists = [split.path, *(split.root / name for name in names)]
    return {
        Path(os.path.relpath(path, split.root)).as_posix(): sha256_file(path)
        for path in lists
        if path.is_file()
    }
