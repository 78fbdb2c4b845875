"""From a model's labels to the classes of a data set, many to one; what has no class is void."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import VOID, check_num_classes
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.files import read_json, sha256_json
from sam2vss_lib.storage.places import MANIFESTS

_SUFFIX = "_to_vspw"
_HINT = 'write {"label of the model": "class of the data set", "other label": null, ...}'


@dataclass(frozen=True)
class ClassMap:
    """Which class each label of a model is."""

    labels: tuple[str, ...]  # M names, in the model's order
    names: tuple[str, ...]  # C names of the classes, label 0 first
    table: NDArray[np.uint8]  # (M,) classes 0..C-1; 255 is void
    unmapped: tuple[str, ...] = ()  # labels that are void though nobody said so

    @property
    def sha256(self) -> str:
        """Hash of what labels and probabilities follow from."""
        return sha256_json([self.table.tolist(), len(self.names)])

    def named(self) -> dict[str, str | None]:
        """The class of each label by name, as a file has it; None is void."""
        classes = [None if i == VOID else self.names[i] for i in self.table]
        return dict(zip(self.labels, classes, strict=True))


def own_classes(labels: Sequence[str]) -> ClassMap:
    """The model's labels as they are, for footage without a class list.

    Raises:
        SettingsError: there are more than fit into a label image.
    """
    check_num_classes(len(labels))
    return ClassMap(tuple(labels), tuple(labels), np.arange(len(labels), dtype=np.uint8))


def map_classes(
    labels: Sequence[str],
    names: Sequence[str],
    class_map: str | None = None,
    *,
    allow_none: bool = False,
) -> ClassMap:
    """Map labels by a file, or without one by equal names.

    Neither case nor space around a name counts. A label that is a list of synonyms, as ADE20K has
    them ("road, route"), is looked up as a whole, then by the first of them.

    Args:
        labels: the model's.
        names: the data set's classes, label 0 first.
        class_map: the file, see `read_class_map`.
        allow_none: whether all labels may be without a class.

    Raises:
        DataError: the file cannot be read, or names a class that the data set does not have.
        SettingsError: no label has a class, where one must.
    """
    ids = {_plain(name): i for i, name in enumerate(names)}
    known: dict[str, int] = ids
    if class_map is not None:
        path, given = read_class_map(class_map)
        strange = sorted({c for c in given.values() if c is not None and _plain(c) not in ids})
        if strange:
            problem = f"{strange[0]!r} is no class of the data set"
            raise FileFault(path, problem, f"its classes are {', '.join(names)}")
        known = {_plain(k): VOID if c is None else ids[_plain(c)] for k, c in given.items()}
    keys = [next((k for k in _spellings(label) if k in known), None) for label in labels]
    if not allow_none and not any(key is not None and known[key] != VOID for key in keys):
        raise SettingsError(
            f"none of the model's {len(labels)} labels ({labels[0]}, ...) is a class of the data "
            f"set ({names[0]}, ...) in {class_map or 'name'}; give --classes, a file that "
            f"`sam2vss predictions classes` begins, or {' or '.join(shipped_maps())}"
        )
    table = np.array([VOID if key is None else known[key] for key in keys], dtype=np.uint8)
    unmapped = [label for label, key in zip(labels, keys, strict=True) if key is None]
    return ClassMap(tuple(labels), tuple(names), table, tuple(unmapped))


def read_class_map(name: str) -> tuple[Path, dict[str, str | None]]:
    """A file of classes by label, None for void, and its path.

    It is JSON, or one of those of this project by its name, such as `ade20k_to_vspw`.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    path = Path(name) if name not in shipped_maps() else MANIFESTS / f"{name}.json"
    if not path.is_file():
        hint = f"give a JSON file, or {', '.join(shipped_maps())}"
        raise FileFault(path, "no such class map", hint)
    try:
        content: Any = read_json(path)
    except DataError:
        raise FileFault(path, "not readable as JSON", _HINT) from None
    if not isinstance(content, dict) or not content:
        raise FileFault(path, "is not a JSON object of labels and classes", _HINT)
    for label, value in content.items():
        if not isinstance(value, str | None):
            raise FileFault(path, f"the class of {label!r} is {value!r}", _HINT)
    return path, content


def shipped_maps() -> tuple[str, ...]:
    """Names of the maps in `data_manifests/`."""
    return tuple(sorted(path.stem for path in MANIFESTS.glob(f"*{_SUFFIX}.json")))


def _spellings(label: str) -> tuple[str, str]:
    return _plain(label), _plain(label.partition(",")[0])


def _plain(name: str) -> str:
    return name.strip().casefold()
