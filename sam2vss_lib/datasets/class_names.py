"""Class lists: `classes.json` of the VSPW layout and VSPW's own `label_num_dic_final.json`."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import MAX_CLASSES
from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import read_json

CLASS_FILES = ("classes.json", "label_num_dic_final.json")
"""Names under which a data set root may hold its class list; the first found is used."""


_VOID_NAMES = ("others", "void", "ignore", "unlabeled", "unlabelled")
"""Names that say that 0 is void, as VSPW calls it, and no class."""


class ClassList(NamedTuple):
    """A class list: C names, label 0 first, and the id of the first in masks, 1 or 0."""

    names: tuple[str, ...]
    mask_offset: int


def find_class_list(root: Path) -> ClassList | None:
    """Read the class list of a data set root; None if it has none.

    Raises:
        DataError: the class list cannot be used.
    """
    for file in CLASS_FILES:
        if (root / file).exists():
            return read_class_list(root / file)
    return None


def read_class_names(path: Path) -> tuple[str, ...]:
    """The C names of a class list, label 0 first; see `read_class_list`."""
    return read_class_list(path).names


def read_class_list(path: Path) -> ClassList:
    """Read a class list, either `{"1": "wall", ...}` or VSPW's `{"others": "0", "wall": "1", ...}`.

    Which of the two forms it has is told by its keys. In the first, `{"0": "wall", ...}` says that
    masks hold 0..C-1, so that 0 is a class.

    Raises:
        DataError: not such a file, names repeated, or ids not 1..C or 0..C-1 without gaps.
    """
    hint = 'write one name for each id without gaps: {"1": "wall", "2": "ceiling", ...}'
    try:
        content: Any = read_json(path)
    except DataError as error:
        raise FileFault(path, str(error).removeprefix(f"{path}: "), hint) from None
    if not isinstance(content, dict) or not content:
        raise FileFault(path, "is not a JSON object of class ids and names", hint)
    entries: list[tuple[Any, Any]] = list(content.items())
    if not all(_class_id(key) is not None for key, _ in entries):
        # VSPW's form maps names to ids and calls id 0, which is void, "others".
        entries = [(value, key) for key, value in entries if _class_id(value) != 0]
    names: dict[int, str] = {}
    for key, name in entries:
        class_id = _class_id(key)
        if class_id is None or not isinstance(name, str) or not name.strip():
            raise FileFault(path, f"entry {key!r}: {name!r} is not a class id and a name", hint)
        if class_id in names:
            raise FileFault(path, f"class id {class_id} is given twice", hint)
        names[class_id] = name
    if not 1 <= len(names) <= MAX_CLASSES:
        raise FileFault(path, f"lists {len(names)} classes, not 1..{MAX_CLASSES}", hint)
    first = 0 if 0 in names else 1
    if names.get(0, "").strip().lower() in _VOID_NAMES:
        problem = f"class id 0 is named {names[0]!r}, which is no class"
        raise FileFault(path, problem, "give it its own name if it is a class, else leave it out")
    last = len(names) - 1 + first
    wrong = sorted(set(names) ^ set(range(first, last + 1)))
    if wrong:
        raise FileFault(path, f"class ids are not {first}..{last} (see id {wrong[0]})", hint)
    # tables name classes: two rows of one name could not be told apart
    repeated = sorted(name for name, times in Counter(names.values()).items() if times > 1)
    if repeated:
        raise FileFault(path, f"two classes are named {repeated[0]!r}", "give each its own name")
    return ClassList(tuple(names[class_id] for class_id in sorted(names)), first)


def _class_id(value: object) -> int | None:
    """A class id given as an integer or as its decimal digits; None if it is neither."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if type(value) is int else None
