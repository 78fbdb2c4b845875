"""Unpacking archives that nobody vouches for: nothing is written outside the target, or at all."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from sam2vss_lib.datasets.converting.converted import listing_sha256
from sam2vss_lib.datasets.faults import LIKELY_CUT_SHORT, FileFault

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_CHUNK_BYTES = 2**20
_FREE_BYTES = 2**26  # any archive may hold as much
_DISTRUST = "do not use this archive: take it from the data set's own site"


@dataclass(frozen=True)
class UnpackLimits:
    """What an archive may hold; the largest published one has 43 GB and 0.5 million files.

    Attributes:
        max_bytes: of all its files together, unpacked; more than the disk has is refused as well.
        max_ratio: of its files to the archive's own size, once they have 64 MiB; images hardly
            compress, so only an archive that is meant to fill the disk has more.
        max_files: files and folders.
        max_depth: folders inside each other.
    """

    max_bytes: int = 2**39
    max_ratio: int = 100
    max_files: int = 2_000_000
    max_depth: int = 20


@dataclass(frozen=True)
class _Member:
    """One entry of an archive; `stream` is None for a folder."""

    name: str
    stream: IO[bytes] | None


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of an archive which can be unpacked."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


@contextmanager
def unpacked_root(source: Path, scratch: Path) -> Generator[Path]:
    """A data set root, unpacked first if it is an archive.

    What was unpacked is deleted when the block succeeds, and found again by the next run when not.

    Args:
        source: a folder, or an archive of one.
        scratch: where to unpack to.

    Yields:
        `source`, or what the archive holds, below the folders that only wrap it.

    Raises:
        DataError: the archive cannot be unpacked.
    """
    if not is_archive(source) or source.is_dir():
        yield source
        return
    folder = scratch / listing_sha256([source])[:12] if source.is_file() else scratch
    if not folder.is_dir():
        unpack(source, folder)
    root = folder
    while len(inner := [p for p in root.iterdir() if p.name[0] not in "._"]) == 1:
        if not inner[0].is_dir() or inner[0].name in ("data", "imgs"):
            break
        root = inner[0]
    yield root
    shutil.rmtree(folder)


def unpack(archive: Path, target: Path, limits: UnpackLimits | None = None) -> None:
    """Unpack a zip or tar archive into a new folder.

    Refused are absolute names and those with `..`, links, devices, encrypted files, a name given
    twice, and more bytes or files than the limits say. Bytes are counted as they come, whatever the
    archive says of itself. Permissions, owners and times are not taken over.

    Args:
        archive: a `.zip`, `.tar`, `.tar.gz` or `.tgz` file.
        target: the folder, which must not exist; it appears only when all files are there.
        limits: what the archive may hold.

    Raises:
        DataError: the archive is missing, damaged or refused, or `target` exists.
    """
    limits = limits or UnpackLimits()
    if target.exists():
        raise FileFault(target, "already exists", "delete it or unpack to another folder")
    if not archive.is_file():
        raise FileFault(archive, "no such file", "check the path of the archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
    try:
        left_bytes = min(
            limits.max_bytes,
            max(_FREE_BYTES, limits.max_ratio * archive.stat().st_size),
            shutil.disk_usage(building).free,
        )
        seen: set[str] = set()
        with _members(archive) as members:
            for member in members:
                path = building.joinpath(*_safe_parts(archive, member.name, limits.max_depth))
                if member.stream is None:
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                if str(path) in seen:
                    raise FileFault(archive, f"holds {member.name!r} twice", _DISTRUST)
                seen.add(str(path))
                if len(seen) > limits.max_files:
                    raise FileFault(archive, f"holds over {limits.max_files} files", _DISTRUST)
                left_bytes -= _copy(archive, member.stream, path, left_bytes)
        building.chmod(0o755)
        building.rename(target)
    except FileFault:
        raise
    except Exception as error:  # readers fed arbitrary bytes may raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFault(archive, f"cannot be unpacked ({reason})", LIKELY_CUT_SHORT) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _safe_parts(archive: Path, name: str, max_depth: int) -> tuple[str, ...]:
    """The folders and the file of a member's name, none of which leads out of the target."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    unsafe = (
        name.startswith("/")
        or any(part == ".." or len(os.fsencode(part)) > 255 for part in parts)
        or any(not c.isprintable() or c in "\\:" for c in name)
    )
    if unsafe or len(parts) > max_depth:
        problem = f"holds the name {name[:80]!r}, which is not one below the target"
        raise FileFault(archive, problem, _DISTRUST)
    return parts


def _copy(archive: Path, stream: IO[bytes], path: Path, left_bytes: int) -> int:
    """Write one file; returns its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with path.open("xb") as out:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > left_bytes:
                hint = "free disk space; if the archive should be small, do not use it"
                raise FileFault(archive, "holds more bytes than the limit or the disk", hint)
            out.write(chunk)
    return size


@contextmanager
def _members(archive: Path) -> Generator[Iterator[_Member]]:
    """The members of an archive of either kind, in its order."""
    # opened here, because both readers leave a file of theirs open when it is no archive
    with archive.open("rb") as stream:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(stream) as opened, closing(_zip_members(archive, opened)) as found:
                yield found
        else:
            with tarfile.open(fileobj=stream) as opened:
                yield _tar_members(archive, opened)


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Generator[_Member]:
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = f"holds {info.filename[:80]!r}, which is a link or a device"
            raise FileFault(archive, problem, _DISTRUST)
        if info.is_dir():
            yield _Member(info.filename, None)
        else:
            with opened.open(info) as stream:
                yield _Member(info.filename, stream)


def _tar_members(archive: Path, opened: tarfile.TarFile) -> Iterator[_Member]:
    for info in opened:
        if not (info.isfile() or info.isdir()):
            problem = f"holds {info.name[:80]!r}, which is a link or a device"
            raise FileFault(archive, problem, _DISTRUST)
        yield _Member(info.name, opened.extractfile(info))
        cast(Any, opened).members = []  # else a long archive's members would be kept in memory
