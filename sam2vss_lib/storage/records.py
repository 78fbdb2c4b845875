"""One small JSON file per finished clip: what it was made from, so that stages resume safely."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.files import read_json, sha256_file, write_json
from sam2vss_lib.storage.targets import check_file

RECORD_NAME = "made_from.json"
_FILES = "files"  # name -> SHA-256; the record of a clip still being written has none
_FACTS = "facts"  # what was found out on the way; where there is something


def is_finished(folder: Path, wanted: dict[str, Any]) -> bool:
    """Whether a clip's folder was finished from exactly these inputs, and all of it is there.

    `wanted` are the settings and input hashes that a new computation would record, as JSON.

    Raises:
        DataError: it was made, or begun, from something else (the message names the first
            difference), or a file is not as it was written.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        return False
    stored, files = _read(path)
    check_same_inputs(folder, stored, wanted)
    if files is None or not all((folder / name).is_file() for name in files):
        return False
    sha256_files(folder / name for name in files)  # stops at one that has changed
    return True


def check_same_inputs(
    path: Path, stored: dict[str, Any], wanted: dict[str, Any], hint: str = "use another --out"
) -> None:
    """Refuse the output at `path`, made from `stored`, where `wanted` would be its inputs now.

    Raises:
        DataError: the two differ; the message names the first difference.
    """
    if difference := _first_difference(stored, wanted, ""):
        raise DataError(f"{path}: made with other inputs: {difference}; {hint}")


def check_report(path: Path, *keys: str) -> None:
    """Refuse at once to replace a file that is no earlier result: JSON that has such keys.

    An empty file, as `mktemp` makes it, has nothing to lose.

    Raises:
        SettingsError: no file can be made or replaced there, or somebody else's is there.
    """
    check_file(path)
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        known = read_json(path)
    except DataError:
        known = None
    if not isinstance(known, dict) or not {*keys} <= {*known}:
        raise SettingsError(f"{path}: holds no earlier result; use another name")


def mark_started(folder: Path, made_from: dict[str, Any]) -> None:
    """Record that a clip's folder is being written; to be called before its first file.

    The record tells what an interrupted run has left, to be made anew, from files that somebody
    else put there, which are not ours to mix with or to replace.

    Raises:
        DataError: the folder holds files but no record.
    """
    path = folder / RECORD_NAME
    if path.is_file():
        return
    # a name with a leading dot is the system's, or of a write that was cut off
    strangers = sorted(p.name for p in folder.glob("[!.]*"))
    if strangers:
        raise DataError(
            f"{folder}: holds files of unknown origin, such as {strangers[0]}; move them away or "
            "use another --out"
        )
    write_json(path, made_from)


def mark_finished(
    folder: Path,
    made_from: dict[str, Any],
    pattern: str = "[!.]*",
    facts: dict[str, Any] | None = None,
) -> None:
    """Record that a clip's folder is complete; to be called after its last file.

    The hashes of the files that fit `pattern` are recorded too, and facts for `facts_of`.
    """
    files = {p.name: sha256_file(p) for p in sorted(folder.glob(pattern)) if p.name != RECORD_NAME}
    found = {} if facts is None else {_FACTS: facts}
    write_json(folder / RECORD_NAME, {**made_from, _FILES: files, **found})


def facts_of(folder: Path) -> dict[str, Any]:
    """The facts in the record of a finished clip; empty where there are none.

    Raises:
        DataError: there is no such record, or it is not readable.
    """
    return read_json(folder / RECORD_NAME).get(_FACTS, {})


def sha256_files(paths: Iterable[Path]) -> str:
    """One SHA-256 over the contents of several files, in the order given.

    Raises:
        DataError: a file is missing or not readable, or is not what the record beside it says.
    """
    digest = hashlib.sha256()
    recorded: dict[Path, dict[str, str]] = {}
    for path in paths:
        if path.parent not in recorded:
            record = path.parent / RECORD_NAME
            recorded[path.parent] = (_read(record)[1] or {}) if record.is_file() else {}
        try:
            found = sha256_file(path)
        except OSError as error:
            raise DataError(f"{path}: not readable ({error.strerror}); check the file") from None
        if found != recorded[path.parent].get(path.name, found):
            raise DataError(
                f"{path}: changed since it was written; move it away to have it made anew"
            )
        digest.update(found.encode())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str] | None]:
    """What a record says of inputs, and of files if there is something."""
    stored = read_json(path)
    if isinstance(stored, dict):
        stored.pop(_FACTS, None)
    files = stored.pop(_FILES, None) if isinstance(stored, dict) else ()
    if not isinstance(files, dict | None):
        raise DataError(f"{path}: no record of a finished clip; move its folder away")
    return stored, files


def _first_difference(stored: Any, wanted: Any, name: str) -> str:
    """`key is A, not B` for the first key that differs, or an empty string."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted({*stored, *wanted}):
            inner = f"{name}.{key}" if name else str(key)
            if found := _first_difference(stored.get(key), wanted.get(key), inner):
                return found
        return ""
    return "" if stored == wanted else f"{name} is {_short(stored)}, not {_short(wanted)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
