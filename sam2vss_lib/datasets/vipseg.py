"""VIPSeg roots: as published, or after the official conversion to 720p; told by their folders.

As published a root holds `imgs/<clip>/<frame>.jpg` and `panomasks/<clip>/<frame>.png`. The official
scripts make of it a folder `VIPSeg_720P` with `images/` and `panomasks/` and, for COCO tools, with
`panomasksRGB/` and `panoptic_gt_VIPSeg_<split>.json`; split lists stay one folder above.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sam2vss_lib.datasets.class_names import find_class_names, read_class_names
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.layout import VSPW_LAYOUT, Layout, is_plain_name, split_file
from sam2vss_lib.datasets.manifests import load_datasets_manifest
from sam2vss_lib.storage.places import manifest_path

PUBLISHED = Layout("imgs/{clip}", "panomasks/{clip}", "panoptic")
CONVERTED = Layout("images/{clip}", "panomasks/{clip}", "panoptic")


def find_layout(root: Path, split: str) -> Layout:
    """Tell a root's layout by its folders.

    Masks in `panomasks/` are preferred to `panomasksRGB/`, which say the same in a longer way.

    Args:
        root: the data set root, which need not exist.
        split: name of the split, which is part of the name of the list of segments.

    Returns:
        A layout of VIPSeg, without its `things`; VSPW's where there are no VIPSeg folders.
    """
    if (root / "data").is_dir():
        return VSPW_LAYOUT
    if (root / "imgs").is_dir():
        layout = PUBLISHED
    elif (root / "images").is_dir():
        layout = CONVERTED
    else:
        return VSPW_LAYOUT
    if (root / "panomasks").is_dir() or not (root / "panomasksRGB").is_dir():
        return layout
    return replace(
        layout,
        masks="panomasksRGB/{clip}",
        mask_values="segments",
        segments_file=f"panoptic_gt_VIPSeg_{split}.json",
    )


def find_split_file(root: Path, split: str, layout: Layout) -> Path:
    """Find the list of a split, for a 720p root also in the folder above it.

    Returns:
        The list, which exists.

    Raises:
        DataError: the root or the list does not exist.
        SettingsError: `split` is not a plain name.
    """
    may_lie_above = layout.frames == CONVERTED.frames and is_plain_name(split)
    above = root.absolute().parent / f"{split}.txt"
    if may_lie_above and above.is_file() and not (root / above.name).is_file():
        return above
    try:
        return split_file(root, split)
    except FileFault as fault:
        if layout == VSPW_LAYOUT:
            raise
        hint = f"copy data_manifests/splits/vipseg_{split}.txt there, or the list that you use"
        raise FileFault(fault.file, fault.problem, hint) from None


def find_classes(root: Path, layout: Layout) -> tuple[tuple[str, ...] | None, Layout]:
    """Find the class names of a root; without a list of its own, VIPSeg has its official ones.

    Returns:
        The C class names, label 0 first, None if unknown; and the layout with its things, which are
        known for the official classes.

    Raises:
        DataError: the root's class list cannot be used.
    """
    names = find_class_names(root)
    if layout.mask_values == "labels":
        return names, layout
    official = read_class_names(manifest_path("vspw_classes.json"))
    if names is not None and names != official:
        return names, layout
    return official, replace(layout, things=_official_things())


def _official_things() -> frozenset[int]:
    return frozenset(load_datasets_manifest()["vipseg"].things or ())
