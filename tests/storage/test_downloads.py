"""Downloads over a bad network: the right bytes, or one line and nothing in place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.downloads import Connection, fetch_file
from tests.storage.unreliable_server import CONTENT, SHA256, UnreliableServer, unreliable_server

HASTY = Connection(timeout_s=0.5, retries=2, wait_s=0.01)


@pytest.fixture(scope="module")
def running() -> Iterator[UnreliableServer]:
    with unreliable_server() as server:
        yield server


@pytest.fixture
def server(running: UnreliableServer, monkeypatch: pytest.MonkeyPatch) -> UnreliableServer:
    running.hits.clear()
    running.ranges.clear()
    for name in ("SAM2VSS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return running


def fetch(path: Path, *urls: str, offline: bool = False) -> bool:
    return fetch_file(
        urls, path, sha256=SHA256, size_bytes=len(CONTENT), offline=offline, connection=HASTY
    )


def refused(path: Path, words: str, *urls: str, offline: bool = False) -> None:
    with pytest.raises(DataError) as caught:
        fetch(path, *urls, offline=offline)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name[0] != ".")


@pytest.mark.parametrize("kind", ["good", "no-ranges", "truncate", "redirect", "busy"])
def test_the_file_arrives(server: UnreliableServer, tmp_path: Path, kind: str):
    path = tmp_path / "new" / "weights.pt"
    assert fetch(path, server.url(kind)) is False
    assert path.read_bytes() == CONTENT
    assert visible(path.parent) == ["weights.pt"]
    before = sum(server.hits.values())
    assert fetch(path, server.url("missing")) is True
    assert sum(server.hits.values()) == before


def test_what_broke_off_is_continued(server: UnreliableServer, tmp_path: Path):
    path = tmp_path / "weights.pt"
    fetch(path, server.url("truncate"))
    assert server.ranges == ["", "bytes=65536-", "bytes=131072-"]  # in blocks of 64 KiB


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "answers 404 Not Found"),
        ("nothing", "broke off"),
        ("stall", "no answer for 0.5 s"),
        ("wrong", "SHA-256 differs"),
        ("page", "has 25 bytes where 300000 were published"),
        ("endless", "gives more than the 300000 bytes"),
        ("loop", "not usable (TooManyRedirects)"),
        ("redirect-elsewhere", "not usable (InvalidSchema)"),
    ],
)
def test_one_line_and_nothing_in_place(
    server: UnreliableServer, tmp_path: Path, kind: str, words: str
):
    path = tmp_path / "weights.pt"
    refused(path, words, server.url(kind))
    assert visible(tmp_path) == []
    # whatever it left does not spoil the next download
    fetch(path, server.url("good"))
    assert path.read_bytes() == CONTENT


def test_another_process_continues(server: UnreliableServer, tmp_path: Path):
    path = tmp_path / "weights.pt"
    refused(path, "no answer", server.url("stall"))
    server.ranges.clear()
    fetch(path, server.url("good"))
    assert server.ranges == ["bytes=196608-"]  # a block of 64 KiB in each of three tries


@pytest.mark.parametrize("kind", ["shorter", "changed", "no-ranges"])
def test_a_part_of_another_file_is_given_up(server: UnreliableServer, tmp_path: Path, kind: str):
    path = tmp_path / "weights.pt"
    (tmp_path / ".weights.pt.part").write_bytes(b"x" * 70_000)
    fetch(path, server.url(kind))
    assert path.read_bytes() == CONTENT


def test_a_whole_part_needs_no_request(server: UnreliableServer, tmp_path: Path):
    (tmp_path / ".weights.pt.part").write_bytes(CONTENT)
    fetch(tmp_path / "weights.pt", server.url("good"))
    assert not server.hits
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_another_part_than_asked_for_is_refused(server: UnreliableServer, tmp_path: Path):
    (tmp_path / ".weights.pt.part").write_bytes(CONTENT[:500])
    refused(tmp_path / "weights.pt", "another part than", server.url("other-part"))


def test_addresses_are_tried_in_turn(server: UnreliableServer, tmp_path: Path):
    path = tmp_path / "weights.pt"
    urls = [server.url(kind) for kind in ("missing", "wrong", "good", "endless")]
    fetch(path, *urls)
    assert path.read_bytes() == CONTENT
    assert "endless" not in server.hits
    path.unlink()
    refused(path, f"{urls[0]}: answers 404 Not Found; {urls[1]}: gives other bytes", *urls[:2])


def test_nobody_answers(tmp_path: Path):
    with unreliable_server() as server:
        gone = server.url("good")
    refused(tmp_path / "weights.pt", "the connection broke off", gone)
    refused(tmp_path / "weights.pt", "not usable (MissingSchema)", "nowhere")


@pytest.mark.parametrize("name", ["SAM2VSS_OFFLINE", "HF_HUB_OFFLINE", None])
def test_offline(
    server: UnreliableServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
):
    if name:
        monkeypatch.setenv(name, "1")
    path = tmp_path / "weights.pt"
    refused(path, "offline (--offline or $SAM2VSS_OFFLINE", server.url("good"), offline=not name)
    path.write_bytes(CONTENT)
    assert fetch(path, server.url("good"), offline=not name) is True
    assert not server.hits


@pytest.mark.parametrize(("content", "words"), [(b"x", "has 1 bytes"), (bytes(300_000), "SHA-256")])
def test_another_file_in_its_place_is_kept_and_refused(
    server: UnreliableServer, tmp_path: Path, content: bytes, words: str
):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"weights.pt: .*{words}.*move it away and fetch"):
        fetch(path, server.url("good"))
    assert path.read_bytes() == content


def test_a_link_stays_and_a_pipe_is_refused(server: UnreliableServer, tmp_path: Path):
    path, disk = tmp_path / "weights.pt", tmp_path / "disk" / "kept.v1"
    path.symlink_to(disk)
    assert fetch(path, server.url("good")) is False
    assert path.is_symlink()
    assert [p.name for p in disk.parent.iterdir()] == ["kept.v1"]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SettingsError, match=r"weights.pt: is a pipe, where a file is wanted"):
        fetch(path, server.url("good"))
