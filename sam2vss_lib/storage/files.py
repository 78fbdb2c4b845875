"""Whole-or-nothing file writing and the hashes that tie results to their inputs."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sam2vss_lib.errors import DataError, RunError, SettingsError

_TEMPORARY = ".tmp-"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    What a writer of the same file left when it was killed goes.

    Args:
        path: the final file; its folder is made when missing.

    Yields:
        A path with the same suffix in the same folder, to be written by the caller.

    Raises:
        RunError: the disk is full.
        SettingsError: the folder cannot be made.
    """
    with _room_for(path):
        _make_folder(path.parent)
        prefix = f"{_TEMPORARY}{zlib.crc32(os.fsencode(path.name)):08x}-"
        remove_left_over(path.parent, prefix)
        handle, temporary = _locked_temporary(path, prefix)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def _room_for(path: Path) -> Generator[None]:
    """Say where a disk is full, or a quota used up, and what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RunError(
            f"{path}: the disk is full ({os.strerror(error.errno)}); make room and run the same "
            "command again, what is finished is kept"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise SettingsError(
            f"{folder}: this folder cannot be made ({error.strerror}); choose another place"
        ) from None


def _locked_temporary(path: Path, prefix: str) -> tuple[int, Path]:
    """An empty file beside `path`, and a handle that holds a lock on it while it is open."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():  # else somebody took it for left over before it was locked
            return handle, Path(name)
        os.close(handle)


def remove_left_over(folder: Path, prefix: str) -> None:
    """Remove what writers that were killed have left in a folder; those at work keep theirs.

    Args:
        folder: may be missing.
        prefix: of the names of temporary files.
    """
    names = list[str]()
    with suppress(OSError):
        names = os.listdir(folder)  # several times as fast as globbing
    for path in (folder / name for name in names if name.startswith(prefix)):
        # what is locked has a living writer
        with suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)


@contextmanager
def held(lock: Path, *, wait: bool = True) -> Generator[bool]:
    """Hold a lock file; a process that dies lets go of it.

    On a file system without locks everybody holds it.

    Args:
        lock: the file, which is there only while somebody holds it; its folder is made.
        wait: for whoever holds it.

    Yields:
        Whether it is held, which it always is after waiting.

    Raises:
        SettingsError: the folder cannot be made.

    Raises:
        RunError: the disk is full.
    """
    with _room_for(lock):
        handle = _lock(lock, wait=wait)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, *, wait: bool) -> int | None:
    """A handle that holds the lock on a file of this name; None if another process does."""
    while True:
        _make_folder(path.parent)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # somebody has just removed the folder
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            return handle
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # whoever held it before has removed this one


def _umask() -> int:
    """The process's umask (it can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused because JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON (sorted keys, no spaces), as hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
