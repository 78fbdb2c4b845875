"""Whole-or-nothing file writing and the hashes that tie results to their inputs.

Temporary files and locks are held by flock, which ends with the process that has it. Other
processes go about the same folders meanwhile, and `_lock` has an answer to each of these races:

1. The folder may be removed while it is made, or before the file in it is: both are made again.
2. The file may be removed after it was opened and before it is locked, by the one who held it until
   then or, if it is a temporary one, by somebody who takes it for left over: a lock on a file
   without a name keeps nobody out, so the file under the name is opened again.
3. Somebody else may hold the lock: whoever does not want to wait for it is told so.
4. There may be a file system without locks: everybody holds them there, and nothing is left over.
5. A writer may be killed and leave its temporary file: nobody holds that, so that the next writer
   of the same file removes it.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from sam2vss_lib.errors import DataError, RunError, SettingsError
from sam2vss_lib.storage.targets import file_target

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_OF_THE_PLACE = (*_FULL, errno.EMFILE, errno.ENFILE, errno.EIO)
_ATTEMPTS = 1000  # at a folder that somebody else removes; more are no race


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    It is hidden, has the same suffix, and is to be written by the caller; its folder is made. A
    link stays, and the file that it leads to is replaced; a replaced file's rights stay, too.

    Raises:
        RunError: the disk is full.
        SettingsError: the folder cannot be made or written to, or `path` is no file or protected.
    """
    path = file_target(path)
    prefix = f".tmp-{zlib.crc32(os.fsencode(path.name)):08x}-"
    temporary = path.with_name(f"{prefix}{uuid4().hex[:8]}{path.suffix}")
    with _room_for(path):
        remove_left_over(path.parent, prefix)
        handle = _lock(temporary, fcntl.LOCK_EX)
        try:
            yield temporary
            with suppress(OSError):
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
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


def remove_left_over(folder: Path, prefix: str) -> None:
    """Remove what writers that were killed have left in a folder; those at work keep theirs.

    The folder may be missing; the names of their temporary files begin with the prefix.
    """
    names = list[str]()
    with suppress(OSError):
        names = os.listdir(folder)  # several times as fast as globbing
    for path in (folder / name for name in names if name.startswith(prefix)):
        with suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)


@contextmanager
def held(lock: Path, *, wait: bool = True) -> Generator[bool]:
    """Hold a lock file, which is there only while somebody holds it; its folder is made.

    Yields:
        Whether it is held, which it always is after waiting.

    Raises:
        RunError: the disk is full.
        SettingsError: the folder cannot be made or written to.
    """
    handle: int | None = None
    with suppress(BlockingIOError), _room_for(lock):
        handle = _lock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, how: int) -> int:
    """Make a file, with its folder, and lock it by `flock` while the handle that it gives is open.

    The numbers are those of the races.

    Raises:
        BlockingIOError: another process holds it, and `how` says not to wait.
        SettingsError: the folder cannot be made or written to.
    """
    failures = 0
    while True:
        try:
            # a link to a folder that is not there cannot be made, what it leads to can
            Path(os.path.realpath(path.parent)).mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno in _NOT_OF_THE_PLACE:
                raise
            failures += 1
            if isinstance(error, FileExistsError | FileNotFoundError) and failures < _ATTEMPTS:
                continue  # 1
            raise SettingsError(
                f"{path.parent}: this folder cannot be made or written to ({error.strerror}); "
                "choose another place"
            ) from None
        try:
            fcntl.flock(handle, how)
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:  # 2
            pass
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):  # 4
                return handle
            os.close(handle)
            raise  # 3
        os.close(handle)  # 2


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
        return json.loads(path.read_bytes())  # in UTF-8, 16 or 32, with or without a mark
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
