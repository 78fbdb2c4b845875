"""Splits: what a data set root says of one before any of its clips is looked at."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sam2vss_lib.datasets.class_names import find_class_list, read_class_names
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import MASK_OFFSET, check_mask_offset, check_num_classes
from sam2vss_lib.datasets.layout import (
    VIPSEG_720P_LAYOUT,
    VSPW_LAYOUT,
    Layout,
    find_layout,
    is_plain_name,
)
from sam2vss_lib.datasets.manifests import find_dataset_facts
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import atomic_path
from sam2vss_lib.storage.places import GENERATED, manifest_path
from sam2vss_lib.storage.targets import check_file

_EMPTY = "split list is empty"


@dataclass(frozen=True)
class Split:
    """A split of a data set, as its root lists it."""

    root: Path
    name: str
    path: Path  # of the split list
    layout: Layout  # with the things of VIPSeg's official classes
    clips: tuple[str, ...]  # names in the order of the list
    class_names: tuple[str, ...] | None  # C of them, label 0 first; None without a usable list
    class_count: int | None  # C, None when neither a class list nor the caller says
    faults: list[FileFault]  # of the lists


def find_split(
    root: str | Path,
    name: str,
    num_classes: int | None = None,
    mask_offset: int | None = None,
) -> Split:
    """Read the lists of a split of a data set root, or of one of `GENERATED`.

    Raises:
        DataError: the root or the split list does not exist.
        SettingsError: `name` is not a plain name, or `num_classes` or `mask_offset` cannot be used
            or disagrees with the class list.
    """
    if str(root) in GENERATED:
        # Imported here: no other data set should wait for the generator's imports.
        from sam2vss_lib.datasets.demo import demo_root

        root = demo_root(str(root), name)
    root = Path(root)
    layout = find_layout(root, name)
    path = find_split_list(root, name, layout)
    clips, faults = read_split(path)
    class_names: tuple[str, ...] | None = None
    try:
        class_names, layout = find_classes(root, layout, mask_offset)
    except FileFault as fault:
        faults.append(fault)
    found_count = None if class_names is None else len(class_names)
    if num_classes is not None:
        check_num_classes(num_classes)
        if found_count not in (None, num_classes):
            raise SettingsError(
                f"num_classes is {num_classes} but the class list in {root} has {found_count}; "
                "leave num_classes out or correct the list"
            )
        found_count = num_classes
    return Split(root, name, path, layout, clips, class_names, found_count, faults)


def find_split_list(root: Path, split: str, layout: Layout) -> Path:
    """Find the list of a split, `<root>/<split>.txt`, for a 720p root also in the folder above it.

    Raises:
        DataError: the root or the list does not exist.
        SettingsError: `split` is not a plain name.
    """
    if not is_plain_name(split):
        raise SettingsError(f"split is {split!r}; it must be a plain name, such as 'val'")
    if not root.is_dir():
        raise FileFault(root, "no such folder", "give a data set root in VSPW layout, or 'demo'")
    path = root / f"{split}.txt"
    if path.is_file():
        return path
    above = root.absolute().parent / path.name
    if layout.frames == VIPSEG_720P_LAYOUT.frames and above.is_file():
        return above
    known = sorted(p.stem for p in root.glob("*.txt") if not p.name.startswith("."))
    hint = f"splits here: {', '.join(known)}" if known else "list one clip name a line in it"
    if layout != VSPW_LAYOUT:
        hint = f"copy data_manifests/splits/vipseg_{split}.txt there, or the list that you use"
    raise FileFault(path, f"no such split list ({split})", hint)


def read_split(path: Path) -> tuple[tuple[str, ...], list[FileFault]]:
    """The usable clip names of a split list in UTF-8, in its order, and the faults found.

    There is one name a line; blank lines and outer blanks do not count.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        return (), [FileFault(path, f"not readable ({error.strerror})", "check its rights")]
    except UnicodeDecodeError as error:
        return (), [FileFault(path, f"not readable as text ({error})", "write it in UTF-8")]
    if any("\0" in line for line in lines):  # each ASCII character of UTF-16 has one
        return (), [FileFault(path, "not readable as text (it has NUL bytes)", "write it in UTF-8")]
    first_line: dict[str, int] = {}
    faults: list[FileFault] = []
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name:
            continue
        if not is_plain_name(name):
            problem = f"line {number}: {name!r} is not a plain folder name"
            faults.append(FileFault(path, problem, "name a folder directly inside data/"))
        elif first_line.setdefault(name, number) != number:
            problem = f"line {number}: clip {name!r} already stands on line {first_line[name]}"
            faults.append(FileFault(path, problem, "remove one of the two lines"))
    if not first_line and not faults:
        faults.append(FileFault(path, _EMPTY, "list one clip name a line"))
    return tuple(first_line), faults


def add_to_split(path: Path, clips: Iterable[str] = ()) -> None:
    """Add the clips that are not there yet to a split list, which is made when missing.

    What it holds stays, byte for byte; lines are added in its own line endings. Without clips it is
    only looked at, before work that will add some.

    Raises:
        DataError: it cannot be read, or a line of it is no clip; it is left as it is.
        SettingsError: no file can be written there.
    """
    check_file(path)
    there, faults = read_split(path) if path.exists() else ((), [])
    if faults and faults[0].problem != _EMPTY:
        raise faults[0]
    new = [clip for clip in clips if clip not in there]
    if not new:
        return
    text = path.read_bytes() if path.exists() else b""
    ending = next((end for end in (b"\r\n", b"\n", b"\r") if end in text), b"\n")
    if text and not text.endswith(ending):
        text += ending
    with atomic_path(path) as temporary:
        temporary.write_bytes(text + b"".join(clip.encode() + ending for clip in new))


def find_classes(
    root: Path, layout: Layout, mask_offset: int | None = None
) -> tuple[tuple[str, ...] | None, Layout]:
    """Find the class names of a root; without a list of its own, VIPSeg has its official ones.

    Returns:
        The C class names, label 0 first, None if unknown; and the layout with its things, which are
        known for the official classes, and with the masks' offset, by default that of the list.

    Raises:
        DataError: the root's class list cannot be used.
        SettingsError: `mask_offset` cannot be used or disagrees with the class list.
    """
    found = find_class_list(root)
    names, listed = (None, None) if found is None else found
    if mask_offset is not None:
        check_mask_offset(mask_offset)
    if mask_offset is not None and listed not in (None, mask_offset):
        raise SettingsError(
            f"mask_offset is {mask_offset} but the class list in {root} starts at {listed}; "
            "leave mask_offset out or correct the list"
        )
    offset = next((one for one in (mask_offset, listed) if one is not None), MASK_OFFSET)
    if layout.mask_values == "labels":
        return names, replace(layout, mask_offset=offset)
    if offset != MASK_OFFSET:
        raise SettingsError(
            f"{root}: masks in VIPSeg layout number the classes from 1, not {offset}"
        )
    official = read_class_names(manifest_path("vspw_classes.json"))
    if names not in (None, official):
        return names, layout
    things = frozenset(find_dataset_facts("vipseg").things or ())
    return official, replace(layout, things=things)
