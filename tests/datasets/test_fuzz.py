"""Readers fed mutated and random bytes: a result or one clear line, and nothing outside the target.

Every run is the same: what is done to the bytes is drawn by hypothesis with a fixed seed.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2vss_lib.datasets.checking.checksums import read_checksums
from sam2vss_lib.datasets.class_names import read_class_names
from sam2vss_lib.datasets.converting.archives import UnpackLimits, unpack
from sam2vss_lib.datasets.images import read_frame, read_id_image, read_label_image
from sam2vss_lib.datasets.layout import is_plain_name
from sam2vss_lib.datasets.manifests import (
    load_checkpoints_manifest,
    load_datasets_manifest,
)
from sam2vss_lib.datasets.segments import read_segments
from sam2vss_lib.datasets.splits import read_split
from sam2vss_lib.errors import DataError, Sam2VssError
from sam2vss_lib.storage.places import manifest_path

QUICK_INPUTS = 30
SLOW_INPUTS = 250
"""Inputs for each of the readers below; together 3,500 in the slow test."""

_LIMITS = UnpackLimits(max_bytes=2**20, max_files=50)


@dataclass(frozen=True)
class Reader:
    """A reader, the suffix of its files, and a whole file to start from."""

    read: Callable[[Path], Any]
    suffix: str
    whole: bytes


def image_bytes(kind: str, mode: str) -> bytes:
    rng, out = np.random.default_rng(0), io.BytesIO()
    shape = (24, 32, 3) if mode == "RGB" else (24, 32)
    values = rng.integers(0, 200, shape, np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    image.save(out, kind)
    return out.getvalue()


def zip_bytes() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("root/data/a/1.png", image_bytes("PNG", "L"))
        archive.writestr("root/val.txt", "a\n" * 50)
    return out.getvalue()


def tar_bytes(mode: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in (("root/a.png", image_bytes("PNG", "L")), ("root/b.txt", b"b" * 99)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def read_split_strictly(path: Path) -> None:
    names, faults = read_split(path)
    assert names or faults
    assert all(is_plain_name(name) for name in names)
    assert all("\n" not in str(fault) for fault in faults)


def unpack_beside(path: Path) -> None:
    target = path.parent / "deep" / "target"
    try:
        unpack(path, target, _LIMITS)
    finally:
        outside = {p.name for p in path.parent.iterdir()} - {path.name, "deep"}
        assert not outside, outside
        assert {p.name for p in target.parent.iterdir()} <= {"target"}
        for found in target.rglob("*"):
            assert not found.is_symlink()


SEGMENTS = {
    "annotations": [
        {
            "video_id": "clip",
            "annotations": [
                {"file_name": "1.jpg", "segments_info": [{"id": 7, "category_id": 3}]},
            ],
        }
    ]
}
READERS = {
    "jpeg frame": Reader(read_frame, ".jpg", image_bytes("JPEG", "RGB")),
    "png frame": Reader(read_frame, ".png", image_bytes("PNG", "RGB")),
    "webp frame": Reader(read_frame, ".webp", image_bytes("WEBP", "RGB")),
    "bmp frame": Reader(read_frame, ".bmp", image_bytes("BMP", "RGB")),
    "bmp mask": Reader(read_label_image, ".bmp", image_bytes("BMP", "P")),
    "grey mask": Reader(read_label_image, ".png", image_bytes("PNG", "L")),
    "palette mask": Reader(read_label_image, ".png", image_bytes("PNG", "P")),
    "panoptic": Reader(lambda p: read_id_image(p, "grey"), ".png", image_bytes("PNG", "I;16")),
    "split list": Reader(read_split_strictly, ".txt", b"127_-hIVCYO4C90\n1643_T9npC-YHzuE\n"),
    "checksums": Reader(read_checksums, ".sha256", f"{'0a' * 32}  data/a/1.png\n".encode()),
    "classes": Reader(read_class_names, ".json", b'{"1": "wall", "2": "ceiling", "3": "door"}'),
    "segments": Reader(read_segments, ".json", json.dumps(SEGMENTS).encode()),
    "datasets.yaml": Reader(
        load_datasets_manifest, ".yaml", manifest_path("datasets.yaml").read_bytes()
    ),
    "checkpoints.yaml": Reader(
        load_checkpoints_manifest, ".yaml", manifest_path("checkpoints.yaml").read_bytes()
    ),
    "zip": Reader(unpack_beside, ".zip", zip_bytes()),
    "tar": Reader(unpack_beside, ".tar", tar_bytes("w")),
    "tar.gz": Reader(unpack_beside, ".tar.gz", tar_bytes("w:gz")),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with some bytes overwritten, cut off, doubled or put in; or no such file at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "write", "cut", "double", "insert", "number"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + draw(st.integers(1, 64))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case "number":  # sizes and offsets are four bytes in most formats
                data[at : at + 4] = draw(
                    st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
                )
            case "insert":
                data[at:at] = draw(
                    st.sampled_from(
                        [b"../", b"\0", b"[" * 5000, b"999999999", b"\xff\xfe", b"&a *a"]
                    )
                )
            case _:
                data[at : at + 8] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


def survives(reader: Reader, data: bytes) -> None:
    """The reader returns, or raises an error of ours of one line that names the file."""
    with TemporaryDirectory(prefix="sam2vss-fuzz-") as folder:
        path = Path(folder) / f"input{reader.suffix}"
        path.write_bytes(data)
        try:
            reader.read(path)
        except Sam2VssError as error:
            refusal = error
        else:
            return
    assert isinstance(refusal, DataError)
    assert str(path) in str(refusal)
    assert "\n" not in str(refusal)


def fuzz(name: str, inputs: int) -> None:
    reader = READERS[name]

    @settings(max_examples=inputs, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(damaged(reader.whole))
    def check(data: bytes) -> None:
        survives(reader, data)

    check()


@pytest.mark.parametrize("name", READERS)
def test_damaged_input(name: str):
    fuzz(name, QUICK_INPUTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_much_damaged_input(name: str):
    assert len(READERS) * SLOW_INPUTS >= 2000
    fuzz(name, SLOW_INPUTS)


@pytest.mark.parametrize("name", READERS)
def test_whole_input_is_read(name: str):
    """Else the fuzzing would start from what is refused anyway."""
    with TemporaryDirectory(prefix="sam2vss-fuzz-") as folder:
        path = Path(folder) / f"input{READERS[name].suffix}"
        path.write_bytes(READERS[name].whole)
        READERS[name].read(path)
