"""Where writers write: links are followed, what is no file or folder is refused and kept."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import held, write_text
from sam2vss_lib.storage.targets import beside, check_file, check_folder


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the address of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
    os.chdir(here)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null, which is not risked
    except PermissionError:
        pytest.skip("only root makes devices")


def make_protected(path: Path) -> None:
    path.write_text("mine")
    path.chmod(0o444)


def linked(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A link to what is made."""

    def link(path: Path) -> None:
        target = path.with_name("linked")
        make(target)
        path.symlink_to(target)

    return link


def link_in_a_circle(path: Path) -> None:
    path.symlink_to(path.name)


#: what can be in the way of anything, by what is said of it
NEITHER: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is a pipe"),
    "link to a pipe": (linked(os.mkfifo), "is a pipe"),
    "socket": (make_socket, "is a socket"),
    "device": (make_device, "is a device"),
    "link to a device": (linked(make_device), "is a device"),
    "link in a circle": (link_in_a_circle, "cannot be written"),
}
NO_FILE = NEITHER | {
    "folder": (os.mkdir, "is a folder, where a file is wanted"),
    "link to a folder": (linked(os.mkdir), "is a folder, where a file is wanted"),
    "protected": (make_protected, "is write-protected"),
    "link to a protected file": (linked(make_protected), "is write-protected"),
}
NO_FOLDER = NEITHER | {
    "file": (Path.touch, "is a file, where a folder is wanted"),
    "link to a file": (linked(Path.touch), "is a file, where a folder is wanted"),
}


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Kind, rights and content of all that is in a folder, links not followed."""
    return {
        path.name: (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.iterdir()
    }


@pytest.mark.parametrize("name", NO_FILE)
def test_what_is_no_file_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    path, (make, words) = tmp_path / "metrics.json", NO_FILE[name]
    make(path)
    before = state(tmp_path)
    for attempt in (check_file, lambda path: write_text(path, "new")):
        with pytest.raises(SettingsError, match=rf"metrics.json: {words}.*; choose another "):
            attempt(path)
    assert state(tmp_path) == before


@pytest.mark.parametrize("name", NO_FOLDER)
def test_what_is_no_folder_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    path, (make, words) = tmp_path / "out", NO_FOLDER[name]
    make(path)
    before = state(tmp_path)
    with pytest.raises(SettingsError, match=rf"/out: {words}.*; choose another "):
        check_folder(path)
    for attempt in (check_folder, check_file, lambda path: write_text(path, "new")):
        with pytest.raises(SettingsError, match="; choose another "):
            attempt(path / "clip" / "a.json")
    assert state(tmp_path) == before


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_file_stays_and_its_target_is_written(tmp_path: Path, exists: bool) -> None:
    link, target = tmp_path / "a.json", tmp_path / "other" / "disk" / "b.json"
    link.symlink_to(Path("other/disk/b.json"))
    if exists:
        write_text(target, "old")
    check_file(link)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "other"]
    assert os.listdir(target.parent) == ["b.json"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_folder_stays_and_is_written_into(tmp_path: Path, exists: bool) -> None:
    link, target = tmp_path / "out", tmp_path / "other" / "disk"
    link.symlink_to(target)
    if exists:
        target.mkdir(parents=True)
    check_folder(link)
    assert target.exists() == exists  # looking makes nothing
    write_text(link / "clip" / "a.json", "new")
    with held(link / "lock"):
        assert (target / "lock").exists()
    assert link.is_symlink()
    assert (target / "clip" / "a.json").read_text() == "new"


def test_a_replaced_file_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    path.chmod(0o600)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the system's answers are given here."""

    def no(*_: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", no)
    for check, path in ((check_folder, tmp_path / "a" / "b"), (check_file, tmp_path / "a.json")):
        with pytest.raises(SettingsError, match=rf"^{tmp_path}: this folder cannot be written to"):
            check(path)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SettingsError, match=r"written to \(Permission denied\); choose another"):
        write_text(tmp_path / "a.json", "")


def test_a_place_where_nothing_can_be_made_is_given_up() -> None:
    with pytest.raises(SettingsError, match=r"^/proc: this folder cannot be made or written to"):
        write_text(Path("/proc/a.json"), "")
    with pytest.raises(SettingsError, match="File name too long"):
        check_file(Path("/tmp") / ("a" * 300))


@pytest.mark.parametrize(
    ("name", "companion"),
    [
        ("metrics.json", "metrics.npz"),
        ("run.v1", "run.v1.npz"),
        ("run.v1.json", "run.v1.npz"),
        ("run", "run.npz"),
        ("a.npz", "a.npz.npz"),
        ("a.JSON", "a.JSON.npz"),
        (".json", ".json.npz"),
        ("a.json.json", "a.json.npz"),
        ("0.25", "0.25.npz"),
    ],
)
def test_a_companion_has_the_whole_name(name: str, companion: str) -> None:
    assert beside(Path("x.y") / name, ".npz") == Path("x.y") / companion


NAMES = st.lists(st.sampled_from(["a", "b", ".", ".json", ".v1", ".npz"]), min_size=1).map("".join)


@given(NAMES, NAMES)
def test_two_results_have_two_companions(one: str, other: str) -> None:
    assume(len({one, other, f"{one}.json", f"{other}.json"}) == 4)  # `check_metrics_path` refuses
    assume(not {one, other} & {".", ".."})
    assert beside(Path(one), ".npz") != beside(Path(other), ".npz")
    assert beside(Path(one), ".npz").name.startswith(one.removesuffix(".json"))
