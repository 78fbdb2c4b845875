"""Fetching published files: resumed, checked, and in place only when every byte is right.

Neither huggingface_hub nor pooch goes on with what an interrupted run has got: the hub's client
throws it away, pooch begins anew. So files on the hub are fetched by their addresses, too.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.exceptions import ChunkedEncodingError
from tqdm import tqdm

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import held, sha256_file
from sam2vss_lib.storage.targets import file_target

_CHUNK_BYTES = 2**16  # what is lost at most when a connection breaks off
_PROGRESS_BYTES = 2**20
_OFFLINE_VARIABLES = ("SAM2VSS_OFFLINE", "HF_HUB_OFFLINE")
OFFLINE_REASON = f"offline (--offline or ${', $'.join(_OFFLINE_VARIABLES)})"


def asked_offline() -> bool:
    """Whether the environment says that the network may not be used."""
    asked = (os.environ.get(name, "").strip().lower() for name in _OFFLINE_VARIABLES)
    return any(value in ("1", "on", "yes", "true") for value in asked)


@dataclass(frozen=True)
class Connection:
    """How patient a download is."""

    timeout_s: float = 30.0  # for an answer, and for the next bytes
    retries: int = 4  # without having got a further MiB
    wait_s: float = 1.0  # before the first retry; doubled for each further one


class _UnfitError(requests.RequestException):
    """What an address gives is not the published file, and will not be the next time."""


def fetch_file(
    urls: Sequence[str],
    path: Path,
    *,
    sha256: str,
    size_bytes: int,
    offline: bool = False,
    connection: Connection | None = None,
) -> bool:
    """Fetch a file whose hash is known, unless it is there.

    What an interrupted download has got is kept in a hidden file beside `path` and continued by the
    next one, also from another address: each is tried until one gives the file. `path` itself
    appears only when its hash, as hexadecimal, is right. The network is not used if `offline`;
    $SAM2VSS_OFFLINE and $HF_HUB_OFFLINE have the same effect.

    Returns:
        Whether it was there already.

    Raises:
        DataError: another file is there, no address gives the file, or it is not there and the
            network may not be used.
        SettingsError: something else than a file is there.
    """
    if path.is_file():  # perhaps in a folder that cannot be written
        check_published(path, sha256, size_bytes)
        return True
    if offline or asked_offline():
        raise DataError(f"{path}: is not there, and the network may not be used: {OFFLINE_REASON}")
    path = file_target(path)
    part, connection = path.with_name(f".{path.name}.part"), connection or Connection()
    failures: list[str] = []
    with held(path.with_name(f".{path.name}.lock")):
        if path.is_file():  # another process has fetched it meanwhile
            check_published(path, sha256, size_bytes)
            return True
        for url in urls:
            try:
                _download(url, part, sha256, size_bytes, connection)
            except requests.RequestException as error:
                failures.append(f"{url}: {_problem(error, connection.timeout_s)[0]}")
            else:
                part.replace(path)
                return False
    raise DataError(
        f"{path.name}: cannot be fetched: {'; '.join(failures)}; try again later, name a --mirror, "
        f"or put the file at {path}"
    )


def check_published(path: Path, sha256: str, size_bytes: int) -> None:
    """Check that a file is the published one.

    Raises:
        DataError: it has another size or hash.
    """
    found_bytes = path.stat().st_size
    if found_bytes != size_bytes:
        problem = f"has {found_bytes} bytes where {size_bytes} were published"
    elif sha256_file(path) != sha256:
        problem = "is not the published file: its SHA-256 differs"
    else:
        return
    raise DataError(f"{path}: {problem}; move it away and fetch it again")


def _download(url: str, part: Path, sha256: str, size_bytes: int, connection: Connection) -> None:
    """Make `part` the published file, going on where an earlier download stopped.

    Raises:
        requests.RequestException: the last of the tries failed, or the first that always will.
    """
    failures, is_continued = 0, part.is_file()
    while True:
        have = _size_bytes(part)
        if have == size_bytes:
            if sha256_file(part) == sha256:
                return
            part.unlink()
            if not is_continued:
                raise _UnfitError("gives other bytes than were published (SHA-256 differs)")
            is_continued = False  # it may have begun as another file: once more, from the start
            continue
        try:
            _request_rest(url, part, have, size_bytes, connection.timeout_s)
        except requests.RequestException as error:
            failures = 0 if _size_bytes(part) - have >= _PROGRESS_BYTES else failures + 1
            if failures > connection.retries or not _problem(error, connection.timeout_s)[1]:
                raise
            time.sleep(connection.wait_s * 2 ** max(0, failures - 1))


def _size_bytes(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _request_rest(url: str, part: Path, have: int, size_bytes: int, timeout_s: float) -> None:
    """Ask once for what comes after the `have` bytes that are here, and add it."""
    # compressed transfer would make offsets and sizes those of other bytes
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout_s) as response:
        if response.status_code == 416:  # what is here is longer than the file there
            part.unlink()
        response.raise_for_status()
        got = have if response.status_code == 206 else 0
        if got and not response.headers.get("Content-Range", "").startswith(f"bytes {got}-"):
            raise _UnfitError("gives another part than was asked for")
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and (found := got + int(length)) != size_bytes:
            raise _UnfitError(f"has {found} bytes where {size_bytes} were published")
        name = part.name.strip(".").removesuffix(".part")
        bar = tqdm(None, name, size_bytes, unit="B", unit_scale=True, initial=got, disable=None)
        with bar, part.open("ab") as out:
            out.truncate(got)
            for chunk in response.iter_content(_CHUNK_BYTES):
                got += len(chunk)
                if got > size_bytes:
                    out.truncate(0)
                    raise _UnfitError(f"gives more than the {size_bytes} bytes published")
                out.write(chunk)
                bar.update(len(chunk))
    if got < size_bytes:
        raise requests.ConnectionError  # it ended early without having said how much comes


def _problem(error: requests.RequestException, timeout_s: float) -> tuple[str, bool]:
    """A failure in words, and whether another try may not have it."""
    if isinstance(error, _UnfitError):
        return str(error), False
    if isinstance(error, requests.HTTPError) and error.response is not None:
        code = error.response.status_code
        return f"answers {code} {error.response.reason}", code in (408, 416, 429) or code >= 500
    passes = isinstance(error, requests.Timeout | requests.ConnectionError | ChunkedEncodingError)
    # requests has one error for waiting for an answer, another for waiting for its bytes
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer for {timeout_s:g} s", passes
    broken = "the connection broke off"
    return broken if passes else f"not usable ({type(error).__name__})", passes
