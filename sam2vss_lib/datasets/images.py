"""Reading frames and label images strictly, and writing label PNGs whole or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2vss_lib.datasets.faults import LIKELY_CUT_SHORT, FileFault, read_bytes
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.storage.files import atomic_path

_BITS = 24  # where a PNG's IHDR chunk, which comes first, says bits a channel, then the colour type
_PNG_END = b"IEND\xaeB`\x82"  # the last chunk with its checksum
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_PALETTES = {(bits, 3) for bits in (1, 2, 4, 8)}
_OTHER_IDS = "check which of the panoptic formats the files have"
#: what a PNG's values are -> the kinds (bits a channel, colour type) that hold them, how they are
#: called and what to do about other kinds. Grey of 1, 2 or 4 bits is stretched to 0..255 by
#: decoders: its labels would be lost.
_KINDS = {
    "labels": (
        _PALETTES | {(8, 0)},
        "labels",
        "write label values as 8-bit palette or 8-bit grey PNG, not colours",
    ),
    "grey": (_PALETTES | {(8, 0), (16, 0)}, "ids as 8-bit or 16-bit grey", _OTHER_IDS),
    "rgb": ({(8, 2)}, "ids as 8-bit RGB", _OTHER_IDS),
}


def read_frame(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG or an 8-bit PNG; an EXIF orientation is ignored, as masks follow stored pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: missing, empty, truncated or undecodable file, or more than 8 bits a channel.
    """
    image = decode_frame(path, read_bytes(path))
    image.info.pop("transparency", None)  # a frame has none; the conversion would warn of it
    return np.array(image.convert("RGB"), dtype=np.uint8)


def decode_frame(path: Path | str, data: bytes) -> Image.Image:
    """Decode a video frame's `data` completely, in the mode that it is stored in.

    Raises:
        DataError: truncated or undecodable, or more than 8 bits a channel.
    """
    image = decode_image(path, data, ("JPEG", "PNG"))
    if image.format == "PNG" and data[_BITS] == 16:
        raise FileFault(path, "16-bit PNG where a frame is read", "convert it to 8-bit RGB")
    return image


def read_label_image(path: Path) -> Labels:
    """Read the values of a mask or a prediction: of an 8-bit grey or the indices of a palette PNG.

    Returns:
        (H, W) uint8, the values as stored.

    Raises:
        DataError: missing, empty, truncated or undecodable file, or another kind of image.
    """
    return np.array(decode_values(path, read_bytes(path), "labels"), dtype=np.uint8)


def read_id_image(path: Path, coding: Literal["grey", "rgb"]) -> NDArray[np.int32]:
    """Read a panoptic image, whose values are segment ids rather than labels.

    Args:
        path: the PNG file.
        coding: "grey" for ids stored as the values of an 8-bit or 16-bit grey or palette PNG (as
            VIPSeg does), "rgb" for an 8-bit RGB PNG with id = R + 256 G + 65536 B (as COCO does).

    Returns:
        (H, W) int32, the ids.

    Raises:
        DataError: missing, empty, truncated or undecodable file, or another kind of image.
    """
    values = np.array(decode_values(path, read_bytes(path), coding), dtype=np.int32)
    return values if coding == "grey" else values @ np.array([1, 256, 65536], dtype=np.int32)


def decode_values(
    path: Path | str, data: bytes, coding: Literal["labels", "grey", "rgb"]
) -> Image.Image:
    """Decode a PNG of labels or of ids from its `data` completely, whose pixels are the values.

    Raises:
        DataError: truncated or undecodable, or another kind of image.
    """
    image = decode_image(path, data, ("PNG",))
    kinds, wanted, hint = _KINDS[coding]
    bits, colour = data[_BITS], data[_BITS + 1]
    if (bits, colour) not in kinds:
        problem = f"{bits}-bit {_COLOURS.get(colour)} PNG where {wanted} are read"
        raise FileFault(path, problem, hint)
    return image


def image_size(path: Path) -> tuple[int, int]:
    """Read an image's (height, width) from its header alone.

    Raises:
        DataError: missing or empty file, or neither JPEG nor PNG.
    """
    data = read_bytes(path)
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            return image.height, image.width
    except Exception as error:  # a decoder fed arbitrary bytes may raise almost anything
        raise _undecodable(path, error, ("JPEG", "PNG")) from None


def check_same_size(
    path: Path | str, shape: tuple[int, ...], reference: Path | str, size: tuple[int, ...]
) -> None:
    """Check that an image's `shape` is the `size` of another of its clip, both (height, width).

    Raises:
        DataError: the sizes differ.
    """
    if shape != size:
        this, other = ("x".join(map(str, one)) for one in (shape, size))
        problem = f"is {this} (height x width) but {reference} is {other}"
        hint = "a clip's frames, masks and predictions must have one size: resize labels by nearest"
        raise FileFault(path, problem, hint)


def write_label_image(path: Path, labels: Labels, palette: NDArray[np.uint8] | None = None) -> None:
    """Write (H, W) uint8 labels as they are to an 8-bit PNG, atomically.

    A palette of (N, 3) uint8 RGB colours of the values 0..N-1, N <= 256, all others black, makes a
    palette PNG whose stored values are the same; None makes a grey PNG.
    """
    image = Image.fromarray(labels)
    if palette is not None:
        colours = np.zeros((256, 3), dtype=np.uint8)
        colours[: len(palette)] = palette
        image.putpalette(colours.tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", bits=8)


def decode_image(path: Path | str, data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Decode an image's `data` completely, in one of the formats as Pillow calls them.

    Raises:
        DataError: truncated or undecodable.
    """
    try:
        if data.startswith(b"\x89PNG"):
            # loading skips the checksums of the pixels, which would let altered labels pass, and
            # checking skips that of the end
            Image.open(BytesIO(data), formats=("PNG",)).verify()
            if data[12:16] != b"IHDR" or _PNG_END not in data:
                raise ValueError("truncated, or IHDR chunk is not the first")
        image = Image.open(BytesIO(data), formats=formats)
        image.load()
    except Exception as error:  # a decoder fed arbitrary bytes may raise almost anything
        raise _undecodable(path, error, formats) from None
    return image


def _undecodable(path: Path | str, error: Exception, formats: tuple[str, ...]) -> FileFault:
    """The fault for an image that the decoder refused."""
    reason = str(error) or type(error).__name__
    if isinstance(error, Image.UnidentifiedImageError):
        reason = "header not recognised"
    return FileFault(path, f"not decodable as {' or '.join(formats)} ({reason})", LIKELY_CUT_SHORT)
