"""A clip of VSPW at 480 px or of VIPSeg at 720 px, as the official scripts make them.

Both resize a frame of w x h to `int(height * w / h)` x `height`: bilinear, and masks nearest (VSPW:
change2_480p.py of VSPW_baseline; VIPSeg: change2_720p.py of VIPSeg-Dataset). Frames are saved with
Pillow's defaults, which is JPEG quality 75, and masks as images of the same kind.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2vss_lib.datasets.converting.converted import listing_sha256, make_clip
from sam2vss_lib.datasets.faults import read_bytes
from sam2vss_lib.datasets.images import (
    LABEL_FORMATS,
    decode_frame,
    decode_image,
    read_id_image,
    write_label_image,
)
from sam2vss_lib.datasets.labels import StrayLabels, mask_from_ground_truth
from sam2vss_lib.datasets.layout import VIPSEG_720P_LAYOUT, VSPW_LAYOUT, Layout, list_clip
from sam2vss_lib.datasets.listing import stem_of
from sam2vss_lib.datasets.manifests import find_dataset_facts
from sam2vss_lib.datasets.panoptic import labels_from_panoptic
from sam2vss_lib.errors import DataError

KINDS = {"vspw-480p": "vspw", "vipseg-720p": "vipseg"}
"""Conversions by name, and the data set that each is of."""


@dataclass(frozen=True)
class Conversion:
    """One conversion of a data set root as published to a new one."""

    kind: str  # one of `KINDS`
    source: Path
    target: Path
    source_layout: Layout
    height_px: int  # of the new frames and masks
    semantic: bool  # for VIPSeg: whether masks become VSPW's labels, in VSPW layout
    stray_labels: StrayLabels  # for `semantic`: what to do with ids of no class

    @property
    def target_layout(self) -> Layout:
        """Where the new files lie."""
        return VSPW_LAYOUT if self.semantic or KINDS[self.kind] == "vspw" else VIPSEG_720P_LAYOUT


def convert_clip(conversion: Conversion, name: str) -> str | DataError:
    """Convert one clip, unless that is done.

    Returns:
        "converted", "reused", "without masks" (left out, as VIPSeg's script does), or what is wrong
        with it: other clips can still be converted.
    """
    source, layout = conversion.source, conversion.source_layout
    frames, masks = layout.frame_folder(source, name), layout.mask_folder(source, name)
    try:
        listing = list_clip(source, name, layout)
        if listing.faults:
            raise listing.faults[0]
        files = [frames / file for file in listing.frame_files]
        if KINDS[conversion.kind] == "vipseg":
            files = [file for file in files if stem_of(file.name) in listing.mask_files]
            if not files:
                return "without masks"
        mask_files = {stem: masks / listing.mask_files[stem] for stem in sorted(listing.mask_files)}
        made_from: dict[str, Any] = {
            "conversion": conversion.kind,
            "height_px": conversion.height_px,
            "semantic": conversion.semantic,
            "stray_labels": conversion.stray_labels,
            "source_files_sha256": listing_sha256([*files, *mask_files.values()]),
        }
        write = partial(_write_clip, conversion, files, mask_files)
        there = make_clip(conversion.target, name, made_from, write, conversion.target_layout)
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{error.filename or conversion.target}: {error.strerror}")
    return "reused" if there else "converted"


def _write_clip(
    conversion: Conversion,
    files: list[Path],
    mask_files: dict[str, Path],
    frames: Path,
    masks: Path,
) -> None:
    """Resize the frames and masks of one clip; those by the frames' names without suffix."""
    for path in files:
        frame = decode_frame(path, read_bytes(path), has_masks=bool(mask_files))
        size_px = (int(conversion.height_px * frame.width / frame.height), conversion.height_px)
        frame.resize(size_px, Image.Resampling.BILINEAR).save(frames / path.name)
        mask_path = mask_files.get(stem_of(path.name))
        if mask_path and conversion.semantic:
            _write_labels(conversion, mask_path, size_px, masks / f"{path.stem}.png")
        elif mask_path:
            mask = decode_image(mask_path, read_bytes(mask_path), LABEL_FORMATS)
            mask.resize(size_px, Image.Resampling.NEAREST).save(masks / mask_path.name)


def _write_labels(conversion: Conversion, path: Path, size_px: tuple[int, int], out: Path) -> None:
    """Turn a panoptic mask into VSPW's labels of the new size."""
    classes = find_dataset_facts("vipseg").classes
    labels = labels_from_panoptic(
        read_id_image(path, "grey"),
        classes,
        things=conversion.source_layout.things,
        stray_labels=conversion.stray_labels,
        source=path,
    )
    mask = Image.fromarray(mask_from_ground_truth(labels, classes))
    write_label_image(out, np.asarray(mask.resize(size_px, Image.Resampling.NEAREST)))
