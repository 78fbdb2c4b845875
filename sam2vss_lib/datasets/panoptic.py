"""From panoptic images to labels: segments lose their instance and keep their class.

Classes come out in the order of the class list, 0..C-1, the same as in VSPW: VIPSeg numbers its
categories 0..123 in JSON and 1..124 in masks, and these are VSPW's labels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import (
    VOID,
    Labels,
    StrayLabels,
    check_num_classes,
    check_strays,
    listing,
)

_INSTANCES = 100  # a thing's id is 100 * category + instance
_NOTHING = 0  # the id of pixels without a segment


def labels_from_panoptic(
    ids: NDArray[np.integer[Any]],
    num_classes: int,
    *,
    things: frozenset[int] | None = None,
    stray_labels: StrayLabels = "error",
    source: Path | str = "panoptic image",
) -> Labels:
    """Convert ids of VIPSeg's form: 0 is void, 1..C a class, 100 * class + instance a thing.

    Ids are (H, W) integers in 0..65535; those of no class are refused as an "error" or read as
    "void". Things are the classes (1..C) that have instances, None all of them; an instance of any
    other class is void: value 200 in clip `353_-5sqmCF8OFU` of VIPSeg is a known mistake for void.

    Returns:
        (H, W) uint8; 0..C-1 are classes, 255 is void.

    Raises:
        DataError: an id belongs to no class and `stray_labels` is "error".
        SettingsError: `num_classes` or `stray_labels` cannot be used.
    """
    check_num_classes(num_classes)
    counts = np.bincount(ids.ravel())  # ids are small, so this is much faster than sorting them
    table = np.full(len(counts), VOID, dtype=np.uint8)
    strays: list[int] = []
    for value in np.flatnonzero(counts).tolist():
        category = value if value <= num_classes else value // _INSTANCES
        if 1 <= category <= num_classes:
            is_mistake = value > num_classes and things is not None and category not in things
            table[value] = VOID if is_mistake else category - 1
        elif value != _NOTHING:
            strays.append(value)
    wanted = f"void (0), class (1..{num_classes}) nor instance ({_INSTANCES} * class + instance)"
    check_strays(strays, f"id {listing(strays)} is neither {wanted}", stray_labels, source)
    return table[ids]


def labels_from_segments(
    ids: NDArray[np.integer[Any]],
    segments: Mapping[int, int],
    num_classes: int,
    source: Path | str,
    segments_file: Path | str,
) -> Labels:
    """Convert ids of COCO's panoptic form, whose categories are listed beside the image.

    `ids` are (H, W) integers, of which 0 is void, and `segments` has the category 0..C-1 of each
    other id. `source` and `segments_file` are the files that they are from, for the error.

    Returns:
        (H, W) uint8; 0..C-1 are classes, 255 is void.

    Raises:
        DataError: an id is not listed, a listed id has no pixel (image and list are not of one
            run), or a category is no class.
        SettingsError: `num_classes` cannot be used.
    """
    check_num_classes(num_classes)
    labels = np.full(ids.shape, VOID, dtype=np.uint8)
    unlisted = ids != _NOTHING
    hint = "image and list must come from one run: take both from the same folder"
    for segment, category in segments.items():
        if not 0 <= category < num_classes:
            problem = f"category_id {category} of segment {segment} of {source} is no class"
            wanted = f"categories must be 0..{num_classes - 1}: check that they are of this data"
            raise FileFault(segments_file, problem, wanted)
        pixels = ids == segment
        if not pixels.any():
            problem = f"no pixel has id {segment}, which {segments_file} lists for this frame"
            raise FileFault(source, problem, hint)
        labels[pixels] = category
        unlisted &= ~pixels
    if unlisted.any():
        first = int(ids[unlisted].min())
        problem = f"segment id {first} is not listed for this frame in {segments_file}"
        raise FileFault(source, problem, hint)
    return labels
