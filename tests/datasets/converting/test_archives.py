"""Archives are unpacked whole, below the target, or not at all."""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sam2vss_lib.datasets.converting.archives import UnpackLimits, unpack, unpacked_root
from sam2vss_lib.errors import DataError

FILES = {"VSPW/data/a/origin/1.jpg": b"frame", "VSPW/val.txt": b"a", "VSPW/empty": b""}


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_of(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return out.getvalue()


def zip_link(name: str, link: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, link.encode()


def below(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_whole_archives_are_unpacked(tmp_path: Path, suffix: str):
    source = tmp_path / f"good{suffix}"
    if suffix == ".zip":
        source.write_bytes(zip_of(("VSPW/", b""), *FILES.items()))
    else:
        folder = tarfile.TarInfo("./VSPW")
        folder.type = tarfile.DIRTYPE
        source.write_bytes(
            tar_of((folder, b""), *((tar_entry(f"./{n}"), c) for n, c in FILES.items()))
        )
    unpack(source, tmp_path / "out")
    assert below(tmp_path / "out") == FILES
    with pytest.raises(DataError, match="out: already exists"):
        unpack(source, tmp_path / "out")
    with unpacked_root(source, tmp_path / "scratch") as root:
        assert root.name == "VSPW"
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["../evil", "/evil", "a/../../evil", "a\\..\\evil", "C:evil", "a\nb", "x" * 300, "a/" * 30],
)
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_names_that_lead_out_are_refused(tmp_path: Path, make: Callable[..., bytes], name: str):
    suffix = ".zip" if make is zip_of else ".tar"
    entry = name if make is zip_of else tar_entry(name)
    good = "ok" if make is zip_of else tar_entry("ok")
    refused(tmp_path, make((good, b"1"), (entry, b"2")), suffix, "not one below the target")


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "ok"),
        (tarfile.LNKTYPE, "../ok"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
    ],
)
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes, link: str):
    content = tar_of((tar_entry("ok"), b"1"), (tar_entry("x", kind, link), b""))
    refused(tmp_path, content, ".tar", "'x', which is a link or a device")


def test_links_in_zips_are_refused(tmp_path: Path):
    content = zip_of(zip_link("x", "/etc"), ("x/passwd", b"1"))
    refused(tmp_path, content, ".zip", "'x', which is a link or a device")


def test_more_than_the_limits_is_refused(tmp_path: Path):
    limits = UnpackLimits(max_bytes=1000, max_files=3)
    many = [(f"f{n}", b"") for n in range(4)]
    refused(tmp_path, zip_of(*many), ".zip", "over 3 files", limits)
    refused(tmp_path, zip_of(("f", bytes(1001))), ".zip", "more bytes than the limit", limits)
    content = tar_of((tar_entry("f"), bytes(1001)))
    refused(tmp_path, content, ".tar.gz", "more bytes than the limit", limits)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path):
    content = zip_of(("f", bytes(2**26 + 1)))  # 64 KiB
    refused(tmp_path, content, ".zip", "more bytes than the limit")


def test_damaged_archives_are_refused(tmp_path: Path):
    whole = zip_of(*((n, os.urandom(2000)) for n in FILES))
    flipped = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    packed = tar_of(*((tar_entry(n), os.urandom(2000)) for n in FILES))
    refused(tmp_path, whole[:-60], ".zip", "cannot be unpacked")
    refused(tmp_path, flipped, ".zip", "cannot be unpacked")
    refused(tmp_path, packed[:-700], ".tar.gz", "cannot be unpacked")
    refused(tmp_path, b"no archive", ".tar", "cannot be unpacked")
    refused(tmp_path, zip_of(("a", b"1"), ("a/b", b"2")), ".zip", "cannot be unpacked")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = zip_of(("a", b"1"), ("a", b"2"))
    refused(tmp_path, twice, ".zip", "holds 'a' twice")
    with pytest.raises(DataError, match=r"none.zip: no such file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def refused(
    tmp_path: Path, content: bytes, suffix: str, words: str, limits: UnpackLimits | None = None
) -> None:
    """One line, and nothing written."""
    source = tmp_path / f"bad{suffix}"
    source.write_bytes(content)
    with pytest.raises(DataError) as caught:
        unpack(source, tmp_path / "deep" / "out", limits)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{source}: ")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "deep").iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} == {source.name, "deep"}
    source.unlink()
