"""Reading frames and label images strictly, and writing label PNGs whole or not at all."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from sam2vss_lib.datasets.faults import LIKELY_CUT_SHORT, FileFault, read_bytes
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.storage.files import atomic_path

FRAME_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""The formats of frames, as Pillow calls them."""
LABEL_FORMATS = ("PNG", "BMP")
"""Those of masks and predictions."""
_BITS = 24  # where a PNG's IHDR chunk, which comes first, says bits a channel, then the colour type
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk: no bytes, its name and its checksum
_COLOURS = {-1: "packed", 0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_PALETTES = {(bits, 3) for bits in (1, 2, 4, 8)}
_OTHER_IDS = "check which of the panoptic formats the files have"
#: what an image's values are -> the kinds (bits a channel, colour type as in PNG) that hold them,
#: how they are called and what to do about other kinds. Grey of 1, 2 or 4 bits is stretched to
#: 0..255 by decoders: its labels would be lost.
_KINDS = {
    "labels": (
        _PALETTES | {(8, 0)},
        "labels",
        "write label values as 8-bit palette or 8-bit grey PNG, not colours",
    ),
    "grey": (_PALETTES | {(8, 0), (16, 0)}, "ids as 8-bit or 16-bit grey", _OTHER_IDS),
    "rgb": ({(8, 2)}, "ids as 8-bit RGB", _OTHER_IDS),
}


def read_frame(path: Path, *, has_masks: bool = False) -> NDArray[np.uint8]:
    """Read a frame, (H, W, 3) uint8 RGB, turned upright as its EXIF orientation says.

    Raises:
        DataError: missing, empty, truncated or undecodable file, more than 8 bits a channel or
            several images, or a turned frame in a clip that has masks.
    """
    image = decode_frame(path, read_bytes(path), has_masks=has_masks)
    image.info.pop("transparency", None)  # a frame has none; the conversion would warn of it
    return np.array(image.convert("RGB"), dtype=np.uint8)


def decode_frame(path: Path | str, data: bytes, *, has_masks: bool = False) -> Image.Image:
    """Decode a video frame's `data` completely, in the mode that it is stored in, and turn it.

    Raises:
        DataError: as for `read_frame`.
    """
    image = decode_image(path, data, FRAME_FORMATS)
    if image.format == "PNG" and data[_BITS] == 16:
        raise FileFault(path, "16-bit PNG where a frame is read", "convert it to 8-bit RGB")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a photo and previews
        hint = "save it as one image, or the animation as a video"
        raise FileFault(path, f"{image.format} of several images where a frame is read", hint)
    turned = _orientation(path, image, has_masks=has_masks) > 1
    return ImageOps.exif_transpose(image) if turned else image


def _orientation(path: Path | str, image: Image.Image, *, has_masks: bool) -> int:
    """The EXIF orientation of a frame: 1 as stored; 5 to 8 exchange height and width.

    Raises:
        DataError: it is not 1 and there are masks: for the picture as stored, or as shown?
    """
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # arbitrary bytes; they say nothing of an orientation
        return 1
    if found not in range(2, 9):
        return 1
    if has_masks:
        problem = f"EXIF orientation {found}, though the clip has masks"
        hint = (
            "if the masks fit the pixels as stored, remove the tag (exiftool -Orientation= FILE), "
            "else turn the frame (mogrify -auto-orient FILE)"
        )
        raise FileFault(path, problem, hint)
    return found


def read_label_image(path: Path) -> Labels:
    """Read the values of a mask or a prediction, (H, W) uint8: 8-bit grey, or a palette's indices.

    Raises:
        DataError: missing, empty, truncated or undecodable file, or another kind of image.
    """
    return np.array(decode_values(path, read_bytes(path), "labels"), dtype=np.uint8)


def read_id_image(path: Path, coding: Literal["grey", "rgb"]) -> NDArray[np.int32]:
    """Read a panoptic image, whose values, (H, W) int32, are segment ids rather than labels.

    They are the values of 8-bit or 16-bit "grey" or a palette (as VIPSeg stores them), or 8-bit
    "rgb" with id = R + 256 G + 65536 B (as COCO does).

    Raises:
        DataError: missing, empty, truncated or undecodable file, or another kind of image.
    """
    values = np.array(decode_values(path, read_bytes(path), coding), dtype=np.int32)
    return values if coding == "grey" else values @ np.array([1, 256, 65536], dtype=np.int32)


def decode_values(
    path: Path | str, data: bytes, coding: Literal["labels", "grey", "rgb"]
) -> Image.Image:
    """Decode an image of labels or of ids from its `data` completely; its pixels are the values.

    Raises:
        DataError: truncated or undecodable, or another kind of image.
    """
    image = decode_image(path, data, LABEL_FORMATS)
    kinds, wanted, hint = _KINDS[coding]
    kind = (data[_BITS], data[_BITS + 1]) if image.format == "PNG" else _bmp_kind(image, data)
    if kind not in kinds:
        problem = f"{kind[0]}-bit {_COLOURS.get(kind[1])} {image.format} where {wanted} are read"
        raise FileFault(path, problem, hint)
    return image


def _bmp_kind(image: Image.Image, data: bytes) -> tuple[int, int]:
    """Bits a channel and colour type of a BMP as a PNG would say them, if its values are kept."""
    # the header of OS/2, of 12 bytes, has shorter fields
    bits = int.from_bytes(data[24:26] if data[14] == 12 else data[28:30], "little")
    whole = {(8, "L"): (8, 0), (8, "P"): (8, 3), (24, "RGB"): (8, 2)}
    return whole.get((bits, image.mode), (bits, -1))


def image_size(
    path: Path, *, has_masks: bool = False, formats: tuple[str, ...] = FRAME_FORMATS
) -> tuple[int, int]:
    """Read the (height, width) of a frame, as `read_frame` turns it, from its header alone.

    Raises:
        DataError: missing or empty file, or no frame; or a turned one in a clip that has masks.
    """
    data = read_bytes(path)
    try:
        image = Image.open(BytesIO(data), formats=formats)
    except Exception as error:  # a decoder fed arbitrary bytes may raise almost anything
        raise _undecodable(path, data, error, formats) from None
    with image:
        lies = _orientation(path, image, has_masks=has_masks) > 4
        return (image.width, image.height) if lies else (image.height, image.width)


def is_turned(path: Path) -> bool:
    """Whether a readable frame has an EXIF orientation by which `read_frame` turns it."""
    with Image.open(path, formats=FRAME_FORMATS) as image:
        return _orientation(path, image, has_masks=False) > 1


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
        raise _undecodable(path, data, error, formats) from None
    return image


def _undecodable(
    path: Path | str, data: bytes, error: Exception, formats: tuple[str, ...]
) -> FileFault:
    """The fault for an image that the decoder refused."""
    reason, hint = str(error) or type(error).__name__, LIKELY_CUT_SHORT
    if isinstance(error, Image.UnidentifiedImageError):
        reason = "header not recognised"
        with suppress(Exception):  # it may be of another format
            reason = f"it is {Image.open(BytesIO(data)).format}"
            hint = "save it anew in such a format; labels never as JPEG, which alters them"
    known = f"{', '.join(formats[:-1])} or {formats[-1]}"
    return FileFault(path, f"not decodable as {known} ({reason})", hint)
