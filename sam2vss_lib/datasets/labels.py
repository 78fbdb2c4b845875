"""Label values: masks on disk (1..C or 0..C-1), labels in the library (0..C-1), void, colours."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.errors import SettingsError

VOID = 255
"""Label of pixels without a class, in masks as in predictions."""

MASK_OFFSET = 1
"""Number of the first class in mask files, as in VSPW; 0 where 0 is a class."""

MAX_CLASSES = 254
"""Masks number the classes from 1 in 8 bits and keep 255 for void."""

StrayLabels = Literal["error", "void"]
"""What to do with mask values that are neither void nor a class."""

Labels = NDArray[np.uint8]


def check_num_classes(num_classes: int) -> None:
    """Check that labels of so many classes fit in 8 bits.

    Raises:
        SettingsError: `num_classes` is not in 1..254.
    """
    if not 1 <= num_classes <= MAX_CLASSES:
        raise SettingsError(f"num_classes is {num_classes}; it must be in 1..{MAX_CLASSES}")


def check_mask_offset(mask_offset: int) -> None:
    """Check that masks number the first class 1 or 0, or raise `SettingsError`."""
    if mask_offset not in (0, 1):
        raise SettingsError(f"mask_offset is {mask_offset}; it must be 0 or 1")


def ground_truth_from_mask(
    mask: Labels,
    num_classes: int,
    *,
    stray_labels: StrayLabels = "error",
    source: Path | str = "mask",
    offset: int = MASK_OFFSET,
) -> Labels:
    """Convert the values of a mask file to labels, (H, W) uint8; 0..C-1 are classes, 255 is void.

    A mask is (H, W) uint8; 1..C are classes, 0 and 255 void, or with the offset 0, 0..C-1 are
    classes and 255 void. Any other value is refused as an "error" or read as "void" (published
    VSPW masks hold a few stray values).

    Raises:
        DataError: the mask holds stray values and `stray_labels` is "error".
        SettingsError: `num_classes` or `stray_labels` cannot be used.
    """
    strays = _values_above(mask, num_classes - 1 + offset)
    check_mask_values(strays, num_classes, stray_labels, source, offset)
    table = np.full(256, VOID, dtype=np.uint8)
    table[offset : num_classes + offset] = np.arange(num_classes, dtype=np.uint8)
    return table[mask]


def check_mask_values(
    values: Iterable[int],
    num_classes: int,
    stray_labels: StrayLabels,
    source: Path | str,
    offset: int = MASK_OFFSET,
) -> None:
    """Check the distinct values that a mask file holds, in ascending order.

    Raises:
        DataError: a value is neither a class nor void and `stray_labels` is "error".
        SettingsError: `num_classes` or `stray_labels` cannot be used.
    """
    check_num_classes(num_classes)
    last, void = num_classes - 1 + offset, "0, 255" if offset else "255"
    strays = [value for value in values if last < value < VOID]
    problem = f"mask value {listing(strays)} is neither class ({offset}..{last}) nor void ({void})"
    check_strays(strays, problem, stray_labels, source)


def check_strays(
    strays: list[int], problem: str, stray_labels: StrayLabels, source: Path | str
) -> None:
    """Refuse values of no class, unless they are to be read as void.

    Raises:
        DataError: there are some and `stray_labels` is "error"; it says the problem.
        SettingsError: `stray_labels` cannot be used.
    """
    if stray_labels not in ("error", "void"):
        raise SettingsError(f"stray_labels is {stray_labels!r}; it must be 'error' or 'void'")
    if strays and stray_labels == "error":
        hint = "check num_classes and classes.json, or read them as void (--stray-labels void)"
        raise FileFault(source, problem, hint)


def mask_from_ground_truth(labels: Labels, num_classes: int) -> Labels:
    """Convert (H, W) labels to the values of a mask file: undoes `ground_truth_from_mask`.

    Classes become 1..C, and void stays 255; 0, the other void value, is not used.

    Raises:
        DataError: a label is neither a class nor void.
        SettingsError: `num_classes` cannot be used.
    """
    check_prediction(labels, num_classes, "labels")
    table = np.full(256, VOID, dtype=np.uint8)
    table[:num_classes] = np.arange(1, num_classes + 1, dtype=np.uint8)
    return table[labels]


def check_prediction(
    labels: Labels, num_classes: int, path: Path | str, label_offset: int = 0
) -> None:
    """Check the values of a predicted label map, (H, W) uint8, as they are in its file.

    The offset is 0 for files of 0..C-1 and 255, 1 for files of 1..C with 0 and 255 as void.

    Raises:
        DataError: a value is neither a class nor void.
        SettingsError: `num_classes` cannot be used.
    """
    check_num_classes(num_classes)
    last = num_classes - 1 + label_offset
    if not (strays := _values_above(labels, last)):
        return
    problem = f"label {listing(strays)} is neither class ({label_offset}..{last}) nor void ({VOID})"
    hint = f"check that the predictions are of {num_classes} classes"
    if label_offset == 0 and strays == [num_classes]:
        hint = f"if the files number the classes 1..{num_classes}, pass --label-offset 1"
    raise FileFault(path, problem, hint)


def class_palette(num_classes: int) -> NDArray[np.uint8]:
    """Colours for figures, (C, 3) uint8 RGB; a class's depends on its index, not on their number.

    Hues step by the golden angle, so that neighbours in the list differ most; lightness and
    chroma cycle, so that classes of like hue stay apart; beyond some 40 classes colours come close.
    Black is left for void.

    Raises:
        SettingsError: `num_classes` cannot be used.
    """
    check_num_classes(num_classes)
    index = np.arange(num_classes)
    hue = np.deg2rad(28.0 + 137.50776 * index)
    lightness = np.array([0.66, 0.82, 0.52, 0.74, 0.60])[index % 5]
    chroma = np.array([0.17, 0.12, 0.14])[index // 5 % 3]
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    # OKLab to linear sRGB to sRGB (B. Ottosson, "A perceptual color space", 2020).
    to_cone = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((np.stack([lightness, a, b], axis=1) @ to_cone.T) ** 3 @ to_rgb.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * srgb).astype(np.uint8)


def _values_above(values: Labels, last: int) -> list[int]:
    """The distinct values that are greater than `last` and not void, ascending."""
    return np.unique(values[(values > last) & (values != VOID)]).tolist()


def listing(values: list[int]) -> str:
    """The first eight values as text."""
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
