"""Where something may be written: links are followed, and what is no file or folder is refused.

Whatever writes asks here, each file when its time comes; a command that works for long asks for
what its options name before it starts, too.
"""

import os
import stat
from pathlib import Path

from sam2vss_lib.errors import SettingsError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}  # all others are devices


def file_target(path: Path) -> Path:
    """The file that is to be written for `path`: itself, or what it links to, there or not.

    Raises:
        SettingsError: something else than a file is there, or a file that is write-protected.
    """
    mode = _mode(path)
    if mode is not None:
        _check_kind(path, mode, stat.S_IFREG, "a file")
        if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise SettingsError(f"{path}: is write-protected; choose another name")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_file(path: Path) -> None:
    """Refuse at once what could not be written as a file later.

    Raises:
        SettingsError: no file can be made or replaced there.
    """
    check_folder(file_target(path).parent)


def check_folder(path: Path) -> None:
    """Refuse at once a folder that could not be made or written into later.

    Raises:
        SettingsError: something else than a folder is there, or nobody may write there.
    """
    place, mode = path, _mode(path)
    while mode is None:  # the nearest that is there, of which the others will be made
        place = Path(os.path.realpath(place)).parent
        mode = _mode(place)
    _check_kind(place, mode, stat.S_IFDIR, "a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise SettingsError(f"{place}: this folder cannot be written to; choose another place")


def beside(path: Path, suffix: str) -> Path:
    """The companion of a file that a user has named: `a.json` has `a.npz`, `run.v1` `run.v1.npz`.

    Only `.json` is taken for a suffix; any other ending is part of the name.
    """
    return path.with_name((path.name.removesuffix(".json") or path.name) + suffix)


def _mode(path: Path) -> int | None:
    """Kind and rights of what is at a path, through links; None if nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # such as a name that is too long, or links in a circle
        raise SettingsError(
            f"{path}: cannot be written ({error.strerror}); choose another place"
        ) from None


def _check_kind(path: Path, mode: int, wanted: int, name: str) -> None:
    if stat.S_IFMT(mode) != wanted:
        kind = _KINDS.get(stat.S_IFMT(mode), "a device")
        raise SettingsError(f"{path}: is {kind}, where {name} is wanted; choose another name")
