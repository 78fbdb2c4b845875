"""What is in a folder of images, and in which order: nothing is passed over, nothing guessed.

Every entry is an image of a known format, known junk, or a fault. Images are ordered by the numbers
in their names; where names leave two orders possible, that is a fault, too. No image is opened.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

from sam2vss_lib.datasets.faults import FileFault

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MASK_SUFFIXES = (".png", ".bmp")  # lossless, so that labels stay what they are
_JUNK = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
_NUMBER = re.compile("([0-9]+)")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # bytes of a name, as Python has them

_Pattern = tuple[str | int, ...]


@dataclass(frozen=True)
class Images:
    """The images of a folder.

    Faults are kept rather than raised, so that a caller can stop at the first or show them all.
    """

    folder: Path
    files: dict[str, str]  # file name by name without suffix
    faults: list[FileFault] = field(default_factory=list[FileFault])

    def checked(self) -> Self:
        """The same.

        Raises:
            DataError: there is a fault.
        """
        if self.faults:
            raise self.faults[0]
        return self


def is_junk(name: str) -> bool:
    """Whether an entry is hidden, such as an unfinished write, or a system's own."""
    return name.startswith(".") or name.lower() in _JUNK


def stem_of(file: str) -> str:
    """A file's name without suffix, with accents as one character, however they were written.

    macOS writes `é` as a letter and an accent, others as one character.
    """
    return unicodedata.normalize("NFC", os.path.splitext(file)[0])


def list_images(
    folder: Path,
    suffixes: Sequence[str],
    beside: Sequence[str] = (),
    hint: str = "move it away or convert it",
) -> Images:
    """List the images of a folder, which may be missing, in no particular order.

    Their suffixes are given in small letters and compared without case; files of suffixes `beside`
    may lie there, too. `hint` says what to do about all others.

    Raises:
        DataError: the folder cannot be listed.
    """
    try:
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
    except OSError as error:
        raise FileFault(folder, f"not readable ({error.strerror})", "check its rights") from None
    found, first = Images(folder, {}), dict[str, str]()
    for name in names:
        stem, suffix = stem_of(name), os.path.splitext(name)[1]
        if is_junk(name) or suffix.lower() in beside:
            continue
        if suffix.lower() not in suffixes:
            fix = f"{hint}; read are {', '.join(suffixes)}"
            found.faults.append(FileFault(folder / name, "is no image that is read here", fix))
        elif _NOT_UTF8.search(name):
            found.faults.append(FileFault(folder / name, "its name is not UTF-8", "rename it"))
        elif first.setdefault(stem.casefold(), name) != name:
            problem = f"same frame as {first[stem.casefold()]}"
            found.faults.append(FileFault(folder / name, problem, "keep one of the two files"))
        else:
            found.files[stem] = name
    return found


def list_frames(folder: Path) -> Images:
    """List the frames of a folder in the order of time.

    Names of one pattern are ordered by their numbers, names without any by their characters.

    Raises:
        DataError: the folder cannot be listed.
    """
    listed = list_images(folder, FRAME_SUFFIXES)
    keys = {stem: _key(stem) for stem in listed.files}
    order = sorted(keys, key=lambda stem: (keys[stem][1], stem))
    files = {stem: listed.files[stem] for stem in order}
    faults = listed.faults
    if not files:
        problem = f"no frames ({', '.join(FRAME_SUFFIXES)})"
        faults.append(FileFault(folder, problem, "put <frame>.jpg files there"))
    elif any(numbers for _, numbers in keys.values()):
        (usual, _), *_ = Counter(pattern for pattern, _ in keys.values()).most_common(1)
        usual_stem = next(stem for stem in order if keys[stem][0] == usual)
        if odd := next((stem for stem in order if keys[stem][0] != usual), None):
            problem = f"its numbers say no order beside {files[usual_stem]}"
            hint = "move it away if it is no frame, or name all frames alike: 00000001, 00000002"
            faults.append(FileFault(folder / files[odd], problem, hint))
        else:
            faults += [
                FileFault(folder / files[b], f"same number as {files[a]}", "rename one of the two")
                for a, b in pairwise(order)
                if keys[a] == keys[b]
            ]
    return Images(folder, files, faults)


def uneven_steps(stems: Iterable[str]) -> list[tuple[str, str]]:
    """Neighbours in time whose numbers are not the folder's usual step apart.

    There are none where more than one number of the names counts.
    """
    stems = tuple(stems)
    columns = zip(*(_key(stem)[1] for stem in stems), strict=False)
    counting = [column for column in columns if len({*column}) > 1]
    if len(counting) != 1:
        return []
    steps = [after - before for before, after in pairwise(counting[0])]
    ((usual, _),) = Counter(steps).most_common(1)
    return [pair for pair, step in zip(pairwise(stems), steps, strict=True) if step != usual]


def say_uneven_steps(stems: Iterable[str]) -> str | None:
    """Gaps in the numbering of frames as text; None if there are none."""
    if not (uneven := uneven_steps(stems)):
        return None
    more = f" (and {len(uneven) - 1} more gaps)" if uneven[1:] else ""
    before, after = uneven[0]
    return f"frames are not numbered evenly: {after} comes after {before}{more}"


def _key(stem: str) -> tuple[_Pattern, tuple[int, ...]]:
    """The pattern of a name, whose numbers order it among the names of this pattern.

    Digits after a number and a point may be a fraction (is 1.5 before 1.25?), so that their count
    is part of the pattern.
    """
    if stem.isascii() and stem.isdecimal():
        return ("", ""), (int(stem),)  # as below, several times as fast
    parts = _NUMBER.split(stem.casefold())
    texts, numbers = parts[::2], parts[1::2]
    inner = zip(texts[1:], numbers[1:], strict=False)
    fractions = [len(number) for text, number in inner if text == "."]
    return (*texts, *fractions), tuple(map(int, numbers))
