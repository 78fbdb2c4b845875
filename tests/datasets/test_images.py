"""Frames and label images: what is read, what is refused, and what damage does."""

import struct
import tempfile
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from sam2vss_lib.datasets.images import (
    check_same_size,
    image_size,
    read_frame,
    read_id_image,
    read_label_image,
    write_label_image,
)
from sam2vss_lib.datasets.labels import class_palette
from sam2vss_lib.errors import DataError

LABELS = (np.arange(24 * 32) % 200).astype(np.uint8).reshape(24, 32)
RGB = np.stack([LABELS, LABELS[::-1], LABELS[:, ::-1]], axis=2)


def encoded(array: np.ndarray, kind: str, **options: object) -> bytes:
    """An image file's bytes."""
    stream = BytesIO()
    Image.fromarray(array).save(stream, format=kind, **options)
    return stream.getvalue()


FILES = {
    "frame.jpg": encoded(RGB, "JPEG", quality=90),
    "progressive.jpg": encoded(RGB, "JPEG", quality=90, progressive=True),
    "frame.png": encoded(RGB, "PNG"),
    "mask.png": encoded(LABELS, "PNG"),
}


def png_of(depth: int, colour_type: int, height: int, row: bytes) -> bytes:
    """A PNG of equal rows, two pixels wide, in a form that Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", 2, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_frames_are_read_as_rgb(tmp_path: Path) -> None:
    for name in ("frame.jpg", "progressive.jpg", "frame.png"):
        path = tmp_path / name
        path.write_bytes(FILES[name])
        frame = read_frame(path)
        assert (frame.shape, frame.dtype, frame.flags.writeable) == (RGB.shape, np.uint8, True)
        assert image_size(path) == (24, 32)
    np.testing.assert_array_equal(frame, RGB)


@pytest.mark.filterwarnings("error")
def test_grey_palette_and_transparent_frames_are_read_as_rgb(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    grey = Image.fromarray(LABELS)
    grey.save(path)
    np.testing.assert_array_equal(read_frame(path), np.stack([LABELS] * 3, axis=2))
    grey.convert("P").save(path, transparency=bytes(range(200)))
    np.testing.assert_array_equal(read_frame(path), np.stack([LABELS] * 3, axis=2))
    Image.fromarray(RGB).convert("RGBA").save(path)
    np.testing.assert_array_equal(read_frame(path), RGB)


def test_labels_keep_their_values_whatever_the_colours(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "labels.png"
    for palette in (None, class_palette(3), class_palette(200)):
        write_label_image(path, LABELS, palette)
        np.testing.assert_array_equal(read_label_image(path), LABELS)
        data = path.read_bytes()
        assert (data[24], data[25]) == (8, 0 if palette is None else 3)  # depth, colour type
    assert [p.name for p in path.parent.iterdir()] == ["labels.png"]
    few = np.array([[0, 1, 1, 0]], np.uint8)
    image = Image.fromarray(few)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(path, bits=1)
    np.testing.assert_array_equal(read_label_image(path), few)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (FILES["frame.png"], "8-bit RGB PNG"),
        (encoded(np.dstack([RGB, LABELS]), "PNG"), "8-bit RGBA PNG"),
        (encoded(LABELS.astype(np.uint16) * 100, "PNG"), "16-bit grey PNG"),
        (encoded(LABELS > 9, "PNG"), "1-bit grey PNG"),
        (png_of(4, 0, 3, b"\x12"), "4-bit grey PNG"),
        (png_of(8, 4, 3, b"\1\xff\2\xff"), "8-bit grey and alpha PNG"),
    ],
)
def test_other_kinds_of_label_png_are_refused(tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_label_image(path)
    assert str(error.value) == (
        f"{path}: {kind} where labels are read; "
        "write label values as 8-bit palette or 8-bit grey PNG, not colours"
    )


@pytest.mark.parametrize("name", ["frame.webp", "frame.bmp"])
def test_frames_of_other_lossless_formats_are_read(tmp_path: Path, name: str) -> None:
    for image in (RGB, np.dstack([RGB, np.full_like(LABELS, 255)])):
        Image.fromarray(image).save(tmp_path / name, lossless=True)
        np.testing.assert_array_equal(read_frame(tmp_path / name), RGB)
        assert image_size(tmp_path / name) == (24, 32)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "frame.webp"
    images = [Image.fromarray(image) for image in (RGB, 255 - RGB)]
    images[0].save(path, kind, save_all=True, append_images=images[1:])
    with pytest.raises(DataError, match=f"{kind} of several images where a frame is read; save"):
        read_frame(path)


def test_labels_of_a_bmp_keep_their_values(tmp_path: Path) -> None:
    path = tmp_path / "mask.bmp"
    image = Image.fromarray(LABELS)
    for palette in (None, class_palette(200)[::-1], np.repeat(np.arange(256)[::-1, None], 3, 1)):
        if palette is not None:
            image.putpalette(palette.astype(np.uint8).tobytes())
        image.save(path)
        np.testing.assert_array_equal(read_label_image(path), LABELS)
        np.testing.assert_array_equal(read_id_image(path, "grey"), LABELS)
    Image.fromarray(RGB).save(path)
    np.testing.assert_array_equal(read_id_image(path, "rgb"), RGB @ np.array([1, 256, 65536]))


@pytest.mark.parametrize(
    ("array", "kind"),
    [(RGB, "8-bit RGB"), (LABELS > 9, "1-bit packed"), (np.dstack([RGB, LABELS]), "32-bit packed")],
)
def test_other_kinds_of_label_bmp_are_refused(tmp_path: Path, array: np.ndarray, kind: str) -> None:
    path = tmp_path / "mask.bmp"
    path.write_bytes(encoded(array, "BMP"))
    with pytest.raises(DataError, match=f"mask.bmp: {kind} BMP where labels are read; write label"):
        read_label_image(path)


def turned(orientation: int, kind: str = "JPEG", size: tuple[int, int] = (24, 32)) -> bytes:
    """A dark frame, as stored, with a bright corner top left, and an EXIF orientation."""
    image = np.full((*size, 3), 40, np.uint8)
    image[:8, :8] = 220
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(image, kind, exif=exif)


# where the stored top left corner is shown, as (bottom?, right?), by orientation
CORNERS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [0, *CORNERS, 9])
def test_frames_are_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / "frame"
    path.write_bytes(turned(orientation, kind))
    frame = read_frame(path)
    assert frame.shape[:2] == image_size(path) == ((32, 24) if 5 <= orientation <= 8 else (24, 32))
    bottom, right = CORNERS.get(orientation, (0, 0))
    upright = frame[:: -1 if bottom else 1, :: -1 if right else 1]
    assert upright[1:7, 1:7].min() > 180
    assert upright[-6:, -6:].max() < 80
    for read in (read_frame, image_size):
        if orientation in range(2, 9):
            message = f"frame: EXIF orientation {orientation}, though the clip has masks; if the"
            with pytest.raises(DataError, match=message):
                read(path, has_masks=True)
        else:
            read(path, has_masks=True)


def test_a_damaged_orientation_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "frame.jpg"
    path.write_bytes(turned(6).replace(b"MM\0*", b"XX\0*").replace(b"II*\0", b"XX*\0"))
    assert read_frame(path).shape[:2] == image_size(path) == (24, 32)


@pytest.mark.parametrize("data", [png_of(16, 0, 3, bytes(4)), png_of(16, 2, 3, bytes(12))])
def test_16_bit_frames_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "frame.png"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"frame.png: 16-bit PNG .*; convert it to 8-bit RGB$"):
        read_frame(path)


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "7.jpg"
    for read in (read_frame, read_label_image, image_size):
        path.unlink(missing_ok=True)
        with pytest.raises(DataError, match=r"7.jpg: no such file; check the folder"):
            read(path)
        path.write_bytes(b"")
        with pytest.raises(DataError, match=r"7.jpg: empty file \(0 bytes\); .* fetch the file"):
            read(path)
        path.write_text("<html>not found</html>")
        with pytest.raises(DataError, match=r"7.jpg: not decodable .*header.*; .* fetch the file"):
            read(path)
        with pytest.raises(DataError, match="not readable"):
            read(tmp_path)
    path.write_bytes(FILES["frame.jpg"])
    with pytest.raises(DataError, match=r"7.jpg: not decodable as PNG or BMP \(it is JPEG\); save"):
        read_label_image(path)


def outcome(name: str, content: bytes) -> np.ndarray | str:
    """What reading such a file gives: the image, or the message of the error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return read_label_image(path) if name == "mask.png" else read_frame(path)
        except DataError as error:
            return str(error).replace(folder, "")


@settings(deadline=None, max_examples=200)
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_truncated_images_are_refused_or_complete(name: str, data: st.DataObject) -> None:
    whole = FILES[name]
    length = data.draw(st.integers(0, len(whole) - 1))
    result = outcome(name, whole[:length])
    if isinstance(result, str):
        assert result.startswith(f"/{name}: ")
        assert result.endswith("; likely an interrupted download or copy: fetch the file again")
        assert "\n" not in result
    else:
        # Only the end marker of a JPEG, of two bytes, can go without loss.
        assert name.endswith(".jpg")
        assert length >= len(whole) - 2
        np.testing.assert_array_equal(result, outcome(name, whole))


@settings(deadline=None, max_examples=200)
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_altered_bytes_never_pass_in_a_png_and_never_crash(name: str, data: st.DataObject) -> None:
    altered = bytearray(FILES[name])
    position = data.draw(st.integers(0, len(altered) - 1))
    altered[position] ^= data.draw(st.integers(1, 255))
    result = outcome(name, bytes(altered))
    if isinstance(result, str):
        assert result.startswith(f"/{name}: ")
    else:
        assert name.endswith(".jpg")  # which has no checksum
        assert result.shape[2:] == (3,)


def test_unequal_sizes_name_both_files() -> None:
    check_same_size(Path("b"), (2, 3), Path("a"), (2, 3))
    with pytest.raises(DataError, match=r"^b: is 3x2 \(height x width\) but a is 2x3; .* nearest$"):
        check_same_size(Path("b"), (3, 2), Path("a"), (2, 3))
