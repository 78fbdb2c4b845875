"""Fetching published files: resumed, checked, and in place only when every byte is right."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pooch
import requests
from requests.exceptions import ChunkedEncodingError
from tqdm import tqdm

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import held, sha256_file

_CHUNK_BYTES = 2**16  # what is lost at most when a connection breaks off
_PROGRESS_BYTES = 2**20
_OFFLINE_VARIABLES = ("SAM2VSS_OFFLINE", "HF_HUB_OFFLINE")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connection:
    """How patient a download is.

    Attributes:
        timeout_s: wait so long for an answer, and for the next bytes.
        retries: try again so often without having got a further MiB.
        wait_s: before the first retry; doubled for each further one.
    """

    timeout_s: float = 30.0
    retries: int = 4
    wait_s: float = 1.0


class _Passing(Exception):
    """A failure that another try may not have."""


class _Lasting(Exception):
    """A failure that the same address will have again."""


def is_offline(asked: bool = False) -> bool:
    """Whether nothing may be fetched: asked for, or by $SAM2VSS_OFFLINE or $HF_HUB_OFFLINE."""
    values = (os.environ.get(name, "") for name in _OFFLINE_VARIABLES)
    return asked or any(value.strip().lower() in ("1", "on", "yes", "true") for value in values)


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
    next one, also from another address. `path` itself appears only when its hash is right.

    Args:
        urls: where it is published; each is tried until one gives the file.
        path: where it is wanted.
        sha256: its hash as hexadecimal.
        size_bytes: its size.
        offline: do not use the network; `is_offline` variables have the same effect.
        connection: timeouts and retries.

    Returns:
        Whether it was there already.

    Raises:
        DataError: another file is there, no address gives the file, or it is not there and the
            network may not be used.
    """
    if path.is_file():  # perhaps in a folder that cannot be written
        check_published(path, sha256, size_bytes)
        return True
    if is_offline(offline):
        reason = f"offline (--offline or ${', $'.join(_OFFLINE_VARIABLES)})"
        raise DataError(f"{path}: is not there, and the network may not be used: {reason}")
    with held(path.parent / f".{path.name}.lock"):
        if path.is_file():  # another process has fetched it meanwhile
            check_published(path, sha256, size_bytes)
            return True
        failures: list[str] = []
        for url in urls:
            try:
                _retrieve(url, path, sha256, size_bytes, connection or Connection())
            except (_Passing, _Lasting) as failure:
                failures.append(f"{url}: {failure}")
                _log.info("%s", failures[-1])
            else:
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
    raise DataError(f"{path}: {problem}; delete it and fetch it again")


def _retrieve(url: str, path: Path, sha256: str, size_bytes: int, connection: Connection) -> None:
    """Fetch from one address; pooch checks the hash and puts the file in its place."""
    # its own messages say what ours do, in several lines
    pooch.get_logger().setLevel(logging.ERROR)
    part = path.parent / f".{path.name}.part"
    for resumed in (part.is_file(), False):
        try:
            pooch.retrieve(
                url,
                f"sha256:{sha256}",
                fname=path.name,
                path=path.parent,
                downloader=cast(Any, _Resuming(part, size_bytes, connection)),
            )
            return
        except ValueError:  # the hash is wrong, and pooch has thrown the bytes away
            if not resumed:
                raise _Lasting("gives other bytes than were published (SHA-256 differs)") from None
            # the first part may have been another file's: once more, from the start


@dataclass(frozen=True)
class _Resuming:
    """A pooch downloader that continues where an earlier one stopped."""

    part: Path
    size_bytes: int
    connection: Connection

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        """Fetch `url`; pooch calls this."""
        failures = 0
        while True:
            before = self._have()
            try:
                self._fetch(url)
                break
            except _Passing:
                failures = 0 if self._have() - before >= _PROGRESS_BYTES else failures + 1
                if failures > self.connection.retries:
                    raise
                time.sleep(self.connection.wait_s * 2 ** max(0, failures - 1))
        self.part.replace(output_file)

    def _have(self) -> int:
        """Bytes got so far."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def _fetch(self, url: str) -> None:
        """One request for what is missing."""
        have = self._have()
        if have == self.size_bytes:
            return
        # compressed transfer would make offsets and sizes those of other bytes
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        timeout_s = self.connection.timeout_s
        try:
            with requests.get(url, headers=headers, stream=True, timeout=timeout_s) as response:
                self._save(response, self._start(response, have))
        except (requests.Timeout, requests.ConnectionError, ChunkedEncodingError) as error:
            # requests has one error for waiting for an answer, another for waiting for its bytes
            waited = isinstance(error, requests.Timeout) or "timed out" in str(error)
            problem = f"no answer for {timeout_s:g} s" if waited else "the connection broke off"
            raise _Passing(problem) from None
        except (requests.RequestException, ValueError) as error:
            raise _Lasting(f"not usable ({type(error).__name__})") from None
        if self._have() < self.size_bytes:
            raise _Passing(f"broke off after {self._have()} of {self.size_bytes} bytes")

    def _start(self, response: requests.Response, have: int) -> int:
        """Offset of the first byte that comes; checks that the rest will be the file's."""
        status = response.status_code
        if status == 416:  # what is here is longer than the file there
            self.part.unlink(missing_ok=True)
            raise _Passing("has fewer bytes than were fetched before")
        if status in (408, 429) or status >= 500:
            raise _Passing(f"answers {status} {response.reason}")
        if status not in (200, 206):
            raise _Lasting(f"answers {status} {response.reason}")
        start = 0
        if status == 206:
            given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            start = int(given[1]) if given else have
            if start > have:
                raise _Lasting("gives another part than was asked for")
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and start + int(length) != self.size_bytes:
            found = start + int(length)
            raise _Lasting(f"has {found} bytes where {self.size_bytes} were published")
        return start

    def _save(self, response: requests.Response, start: int) -> None:
        """Write what comes from `start` on."""
        with (
            self.part.open("r+b" if self.part.is_file() else "wb") as out,
            tqdm(
                total=self.size_bytes,
                initial=start,
                desc=self.part.name.strip(".").removesuffix(".part"),
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            out.seek(start)
            out.truncate()
            for chunk in response.iter_content(_CHUNK_BYTES):
                if out.tell() + len(chunk) > self.size_bytes:
                    out.truncate(0)
                    raise _Lasting(f"gives more than the {self.size_bytes} bytes published")
                out.write(chunk)
                bar.update(len(chunk))
