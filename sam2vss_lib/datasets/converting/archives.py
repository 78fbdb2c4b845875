"""Unpacking archives that nobody vouches for: nothing is written outside the target, or at all."""

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from sam2vss_lib.datasets.converting.converted import listing_sha256
from sam2vss_lib.datasets.faults import LIKELY_CUT_SHORT, FileFault
from sam2vss_lib.datasets.listing import is_junk

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_CHUNK_BYTES = 2**20
_FREE_BYTES = 2**26  # any archive may hold as much
_DISTRUST = "do not use this archive: take it from the data set's own site"


@dataclass(frozen=True)
class UnpackLimits:
    """What an archive may hold; the largest published one has 43 GB and 0.5 million files.

    The ratio is that of its files to its own size, once they have 64 MiB; images hardly compress,
    so only an archive that is meant to fill the disk has more.
    """

    max_bytes: int = 2**39  # of all its files, unpacked; more than the disk has is refused as well
    max_ratio: int = 100
    max_files: int = 2_000_000
    max_depth: int = 20  # folders inside each other


@dataclass(frozen=True)
class _Member:
    """One entry of an archive of either kind."""

    name: str
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def unpacked_root(source: Path, scratch: Path) -> Generator[Path]:
    """A data set root, unpacked first if it is an archive.

    What was unpacked into `scratch` is deleted when the block succeeds, and found again by the next
    run when not.

    Yields:
        `source`, or what the archive holds, below the folders that only wrap it.

    Raises:
        DataError: the archive cannot be unpacked.
    """
    if not source.name.lower().endswith(ARCHIVE_SUFFIXES) or source.is_dir():
        yield source
        return
    folder = scratch / listing_sha256([source])[:12] if source.is_file() else scratch
    if not folder.is_dir():
        unpack(source, folder)
    root = folder
    while len(inner := [p for p in root.iterdir() if not is_junk(p.name)]) == 1:
        if not inner[0].is_dir() or inner[0].name in ("data", "imgs"):
            break
        root = inner[0]
    yield root
    shutil.rmtree(folder)


def unpack(archive: Path, target: Path, limits: UnpackLimits | None = None) -> None:
    """Unpack a zip or tar archive into a new folder.

    Refused are absolute names and those with `..`, links, devices, encrypted files, a name given
    twice, and more bytes or files than the limits say. Bytes are counted as they come, whatever the
    archive says of itself. Permissions, owners and times are not taken over. `target` appears only
    when all files are there.

    Raises:
        DataError: the archive is missing, damaged or refused, or `target` exists.
    """
    limits = limits or UnpackLimits()
    if target.exists():
        raise FileFault(target, "already exists", "unpack to another folder")
    if not archive.is_file():
        raise FileFault(archive, "no such file", "check the path of the archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
    try:
        # opened here, because both readers leave a file of theirs open when it is no archive
        with archive.open("rb") as stream:
            _unpack(archive, stream, building, limits)
        building.chmod(0o755)
        building.rename(target)
    except FileFault:
        raise
    except Exception as error:  # readers fed arbitrary bytes may raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFault(archive, f"cannot be unpacked ({reason})", LIKELY_CUT_SHORT) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _unpack(archive: Path, stream: IO[bytes], building: Path, limits: UnpackLimits) -> None:
    """Write all members of an archive, or stop at the first that is refused."""
    left_bytes = min(
        limits.max_bytes,
        max(_FREE_BYTES, limits.max_ratio * archive.stat().st_size),
        shutil.disk_usage(building).free,
    )
    seen: set[Path] = set()
    members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    for member in members(stream):
        name = member.name[:80]
        if not (member.is_file or member.is_folder):
            raise FileFault(archive, f"holds {name!r}, which is a link or a device", _DISTRUST)
        parts = tuple(part for part in member.name.split("/") if part not in ("", "."))
        if not _is_below(member.name, parts) or len(parts) > limits.max_depth:
            problem = f"holds the name {name!r}, which is not one below the target"
            raise FileFault(archive, problem, _DISTRUST)
        path = building.joinpath(*parts)
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        if path in seen:
            raise FileFault(archive, f"holds {member.name!r} twice", _DISTRUST)
        seen.add(path)
        if len(seen) > limits.max_files:
            raise FileFault(archive, f"holds over {limits.max_files} files", _DISTRUST)
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as content, path.open("xb") as out:
            while chunk := content.read(_CHUNK_BYTES):
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    hint = "free disk space; if the archive should be small, do not use it"
                    raise FileFault(archive, "holds more bytes than the limit or the disk", hint)
                out.write(chunk)


def _is_below(name: str, parts: tuple[str, ...]) -> bool:
    """Whether a member's name, split into parts, leads to a place below the target."""
    return (
        not name.startswith("/")
        and all(part != ".." and len(os.fsencode(part)) <= 255 for part in parts)
        and all(c.isprintable() and c not in "\\:" for c in name)
    )


def _zip_members(stream: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            is_folder = is_plain and info.is_dir()
            yield _Member(info.filename, is_folder, is_plain, partial(archive.open, info))


def _tar_members(stream: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=stream) as archive:
        for info in archive:
            content = partial(cast(Any, archive).extractfile, info)
            yield _Member(info.name, info.isdir(), info.isfile(), content)
            cast(Any, archive).members = []  # else a long archive's members would be kept in memory
