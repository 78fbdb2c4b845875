"""VSPW at 480 px and VIPSeg at 720 px: all clips of a data set, and its lists."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sam2vss_lib.datasets.class_names import CLASS_FILES
from sam2vss_lib.datasets.converting.convert_clip import KINDS, Conversion, convert_clip
from sam2vss_lib.datasets.converting.converted import LOCK
from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.datasets.labels import StrayLabels
from sam2vss_lib.datasets.layout import VSPW_LAYOUT, find_layout, is_plain_name
from sam2vss_lib.datasets.listing import is_junk
from sam2vss_lib.datasets.manifests import find_dataset_facts
from sam2vss_lib.datasets.splits import add_to_split, find_classes, find_split_list, read_split
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.parallel.processes import map_in_processes
from sam2vss_lib.storage.files import atomic_path, held, write_text
from sam2vss_lib.storage.places import manifest_path

_SPLITS = ("train", "val", "test")


class ConversionResult(NamedTuple):
    """How many clips a conversion made, found made, and left out."""

    converted: int
    reused: int  # made by an earlier run
    without_masks: int  # left out, as VIPSeg's script leaves out what has no masks


def convert_dataset(
    kind: str,
    source: Path,
    target: Path,
    *,
    split: str | None = None,
    height_px: int | None = None,
    semantic: bool = False,
    stray_labels: StrayLabels = "error",
    workers: int = 1,
) -> ConversionResult:
    """Convert a published data set; clips that are there already are not made again.

    The source is its root as published, of kind "vspw-480p" or "vipseg-720p", the target a root to
    make, in which a clip appears when it is complete. By default every clip is converted, whatever
    its split, to the official height. VIPSeg's semantic form drops instances, in VSPW layout; ids
    of no class are then refused as an "error" or made "void". A script that asks for more than one
    worker process needs `if __name__ == "__main__":`.

    Returns:
        Numbers of clips. All are tried before the first fault is raised.

    Raises:
        DataError: the source is not such a data set, a file of it cannot be read, or the target
            holds clips made from something else.
        SettingsError: an argument cannot be used.
    """
    if kind not in KINDS:
        raise SettingsError(f"conversion {kind!r}: known are {', '.join(KINDS)}")
    dataset = KINDS[kind]
    if semantic and dataset != "vipseg":
        raise SettingsError("semantic: VSPW's masks are semantic already; leave it out")
    facts = find_dataset_facts(dataset)
    height_px = height_px or next(c.height_px for c in facts.conversions if c.name == kind)
    if not 1 <= height_px <= 10_000:
        raise SettingsError(f"height_px is {height_px}; it must be in 1..10000")
    if not source.is_dir():
        raise FileFault(source, "no such folder", "give the data set root, or its archive")
    if target.resolve() == source.resolve():
        raise SettingsError(f"{target}: is the source; convert to another folder")
    layout = find_layout(source, split or "val")
    if (layout == VSPW_LAYOUT) != (dataset == "vspw") or layout.mask_values == "segments":
        wanted = "data/<clip>/origin/" if dataset == "vspw" else "imgs/ and panomasks/"
        raise FileFault(source, f"is not {dataset} as published", f"expected {wanted}")
    folder = source / layout.frames.split("/")[0]
    if not folder.is_dir():
        raise FileFault(folder, "no such folder", "give the data set root")
    if semantic:
        _, layout = find_classes(source, layout)
    conversion = Conversion(kind, source, target, layout, height_px, semantic, stray_labels)
    if split is None:
        names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not is_junk(p.name))
        lists = [name for name in _SPLITS if (source / f"{name}.txt").is_file()]
        unsafe = [name for name in names if not is_plain_name(name)]
        faults = [FileFault(folder, f"{n!r} is no plain name", "rename it") for n in unsafe]
    else:
        found, faults = read_split(find_split_list(source, split, layout))
        names, lists = list(found), [split]
    if faults:
        raise faults[0]
    work = partial(convert_clip, conversion)
    with held(target / LOCK):
        _check_lists(conversion, lists)
        outcomes = list(map_in_processes(work, names, workers=workers, what="convert"))
        failed = [outcome for outcome in outcomes if isinstance(outcome, DataError)]
        if failed:
            others = f" (and {len(failed) - 1} more clips failed)" if len(failed) > 1 else ""
            raise DataError(f"{failed[0]}{others}")
        _copy_lists(conversion, lists)
    kinds = ("converted", "reused", "without masks")
    return ConversionResult(*(outcomes.count(kind) for kind in kinds))


def _check_lists(conversion: Conversion, splits: Sequence[str]) -> None:
    """Lists that are there must be such as can be added to, and class lists the source's own."""
    for split in splits:
        add_to_split(conversion.target / f"{split}.txt")
    for name in CLASS_FILES:
        ours, theirs = conversion.source / name, conversion.target / name
        if ours.is_file() and theirs.exists() and read_bytes(ours) != read_bytes(theirs):
            problem = f"is another class list than {ours}"
            raise FileFault(theirs, problem, "it is kept: convert into another folder")


def _copy_lists(conversion: Conversion, splits: Sequence[str]) -> None:
    """List the clips that were converted, and copy the class list."""
    source, target = conversion.source, conversion.target
    frames = conversion.target_layout.frame_folder
    for split in splits:
        names, _ = read_split(find_split_list(source, split, conversion.source_layout))
        made = (name for name in names if frames(target, name).is_dir())
        add_to_split(target / f"{split}.txt", made)
    for name in CLASS_FILES:
        if (source / name).is_file() and not (target / name).exists():
            with atomic_path(target / name) as temporary:
                temporary.write_bytes(read_bytes(source / name))
    if conversion.semantic and not any((target / name).is_file() for name in CLASS_FILES):
        official = manifest_path("vspw_classes.json").read_text(encoding="utf-8")
        write_text(target / CLASS_FILES[0], official)
