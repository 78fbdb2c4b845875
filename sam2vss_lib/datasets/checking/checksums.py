"""The SHA-256 of every file of a split, kept beside it: proof that data has not changed since.

The list has the form that `sha256sum` writes, so `cd ROOT && sha256sum -c val.sha256` checks it
without this project.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.storage.files import write_text

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_RESTORE = "bring the file back; if it was meant, write the checksums anew (--write-manifest)"


def checksum_list(root: Path, split: str) -> Path:
    """Where the checksums of a split are kept: `<root>/<split>.sha256`."""
    return root / f"{split}.sha256"


def write_checksums(path: Path, sha256: Mapping[str, str]) -> None:
    """Write a list of checksums: SHA-256 as hexadecimal, by path relative to the data set root.

    Raises:
        DataError: a file's name cannot stand in such a list.
    """
    for name in sha256:
        if not name.isprintable() or "\\" in name:
            problem = f"name {name!r} holds a control character or a backslash"
            raise FileFault(path, problem, "rename the file")
    write_text(path, "".join(f"{sha256[name]}  {name}\n" for name in sorted(sha256)))


def read_checksums(path: Path) -> dict[str, str]:
    """Read a list of checksums: SHA-256 as hexadecimal, by path relative to the data set root.

    Raises:
        DataError: not readable, or a line is not a checksum and a path, or names a path twice.
    """
    hint = "restore it, or move it away and write another with --write-manifest"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFault(path, f"not readable as text ({error})", hint) from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise FileFault(path, f"line {number} is not a SHA-256, two blanks and a path", hint)
        if found.setdefault(match[2], match[1]) != match[1]:
            raise FileFault(path, f"line {number}: {match[2]} has two checksums", hint)
    if not found:
        raise FileFault(path, "lists no file", hint)
    return found


def compare_checksums(
    root: Path, recorded: Mapping[str, str], found: Mapping[str, str]
) -> list[FileFault]:
    """One fault for each file below a root that changed, went missing, or was added since, by path.

    Checksums are by relative path, as they were recorded and as they are found now.
    """
    faults: list[FileFault] = []
    for name in sorted({*recorded, *found}):
        if name not in found:
            problem = "is listed with a checksum but is not there"
        elif name not in recorded:
            problem = "was added: it is in no list of checksums"
        elif found[name] != recorded[name]:
            problem = "has changed: its SHA-256 is not the one listed"
        else:
            continue
        faults.append(FileFault(root / name, problem, _RESTORE))
    return faults
