"""Files appear whole or not at all, and hashes are of what they say."""

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sam2vss_lib.errors import DataError, RunError, SettingsError
from sam2vss_lib.storage.files import (
    atomic_path,
    held,
    read_json,
    remove_left_over,
    sha256_file,
    sha256_json,
    write_json,
    write_text,
)


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    write_text(path, "old")

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_temporary_file_is_hidden_and_has_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".npz"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_written_files_have_ordinary_rights(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_json_round_trip_and_refusal_of_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, None], "a": "é"})
    assert read_json(path) == {"b": [1, None], "a": "é"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path) == {"b": [1, None], "a": "é"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_unreadable_json_gives_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^\S+a\.json: not readable as JSON \(.*\)$"):
        read_json(path)
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "b.json")


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert sha256_json({"b": 1, "a": [0.5]}) == sha256_json(json.loads('{"a": [0.5], "b": 1}'))
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})


def test_only_what_dead_writers_left_is_removed(tmp_path: Path) -> None:
    path, stray = tmp_path / "clip.parquet", tmp_path / ".tmp-abc.parquet"
    stray.write_text("half")
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        remove_left_over(tmp_path, ".tmp-")
        assert not stray.exists()
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == [path.name]
    remove_left_over(tmp_path / "missing", ".tmp-")


def test_the_next_writer_of_a_file_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path, strange = tmp_path / "metrics.json", tmp_path / ".tmp-of-another-program"
    strange.touch()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from sam2vss_lib.storage.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    write_text(path.with_name("another.json"), "{}")
    assert len(os.listdir(tmp_path)) == 3  # what was left may be anybody's but who writes the same
    write_text(path, "{}")
    assert sorted(os.listdir(tmp_path)) == [strange.name, "another.json", path.name]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_in_one_line(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    def write() -> None:
        with atomic_path(path):
            fail()

    with pytest.raises(RunError, match=rf"^{path}: the disk is full \(.*\); .* same command again"):
        write()
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(RunError, match=rf"^{path}: the disk is full"), held(path):
        pass


def test_another_error_of_writing_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.json"):
        raise PermissionError(errno.EACCES, "not yours")
    assert os.listdir(tmp_path) == []


def test_a_lock_is_held_by_one_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    lock, inside, most = tmp_path / "locks" / "clip", 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with held(lock):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert os.listdir(lock.parent) == []


def test_a_lock_may_be_asked_for_without_waiting(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock) as mine, held(lock, wait=False) as theirs:
        assert (mine, theirs) == (True, False)
        assert lock.exists()  # it is not theirs to remove
    with held(lock, wait=False) as mine:
        assert mine


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "clip" / "1.json"
    with pytest.raises(SettingsError, match=r"file/clip: this folder cannot be made"):
        write_json(below, {})
    with pytest.raises(SettingsError, match=r"file/clip: this folder cannot be made"), held(below):
        pass


def test_a_folder_that_goes_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mkdir` finds it there, and then that it is none: somebody has removed it in between."""
    mkdir, failed = Path.mkdir, list[Path]()

    def fail_once(folder: Path, **options: bool) -> None:
        if not failed:
            failed.append(folder)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        mkdir(folder, **options)

    monkeypatch.setattr(Path, "mkdir", fail_once)
    with held(tmp_path / "locks" / "clip") as mine:
        assert mine
    assert failed == [tmp_path / "locks"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "classes.json").write_bytes('{"1": "wäll"}'.encode(encoding))
    assert read_json(tmp_path / "classes.json") == {"1": "wäll"}
