"""What is there of a split is compared with what its authors published."""

from sam2vss_lib.datasets.class_names import read_class_names
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.manifests import DatasetFacts, find_dataset_facts
from sam2vss_lib.datasets.splits import Split, read_split
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.places import manifest_path

MAX_MISSING_FRAMES = 0.01
"""Share of the published frames that may be missing: VSPW's own archives lack up to 0.5 % of what
its paper counts, while an interrupted copy loses whole clips."""


def published_facts(name: str, split: str) -> DatasetFacts:
    """Facts about a published data set that has such a split.

    Raises:
        SettingsError: no such data set, or it has no such split.
    """
    facts = find_dataset_facts(name)
    if split not in facts.splits:
        raise SettingsError(f"{name} has no split {split!r} but {', '.join(facts.splits)}")
    return facts


def compare_with_published(
    facts: DatasetFacts, split: Split, num_frames: int, num_annotated: int
) -> list[FileFault]:
    """One fault for each number or list of a split that differs from what its authors published."""
    path, published = split.path, facts.splits[split.name]
    official, _ = read_split(manifest_path(published.clip_list))
    faults: list[FileFault] = []
    hint = f"take the list that comes with {facts.name}, or verify without --expect"
    lacking, others = sorted({*official} - {*split.clips}), sorted({*split.clips} - {*official})
    if lacking:
        problem = f"lacks {len(lacking)} clips of the official list, such as {lacking[0]}"
        faults.append(FileFault(path, problem, hint))
    if others:
        problem = f"names {len(others)} clips that are not official, such as {others[0]}"
        faults.append(FileFault(path, problem, hint))
    if split.class_names not in (None, read_class_names(manifest_path(facts.class_names))):
        problem = f"its class list is not the official one of {facts.classes} classes"
        faults.append(FileFault(path.parent, problem, "restore the published class list"))
    if published.frames and num_frames < published.frames * (1 - MAX_MISSING_FRAMES):
        problem = f"{num_frames} frames, but {published.frames} were published"
        hint = "likely an interrupted copy or unpacking: unpack the archive again"
        faults.append(FileFault(path, problem, hint))
    if published.masks and num_annotated < num_frames:
        lacking = f"{num_frames - num_annotated} of {num_frames} frames have no mask"
        missing = lacking if num_annotated else "no masks"
        problem = f"{missing}, though the masks of this split are public"
        faults.append(FileFault(path, problem, "unpack the archive of the masks, too"))
    return faults
