"""How long the clips of a split are: counted on disk where it is there, else as published."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from sam2vss_lib.datasets import GENERATED, open_dataset
from sam2vss_lib.datasets.demo import DEMO_B_SPLITS, DEMO_SPLITS
from sam2vss_lib.datasets.manifests import load_datasets_manifest
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.settings import StudySettings

_DEMO = {"demo": DEMO_SPLITS, "demo-b": DEMO_B_SPLITS}


@dataclass(frozen=True)
class ClipLengths:
    """Any number of clips in the memory of a few: their lengths repeat.

    Attributes:
        pattern: frames of the first clips; clip i is as long as pattern[i % len(pattern)].
        clips: how many there are.
        source: where the lengths are from, in words.
    """

    pattern: tuple[int, ...]
    clips: int
    source: str

    def histogram(self, start: int, stop: int) -> Counter[int]:
        """How many of the clips start..stop-1 are how many frames long."""
        return self._first(stop) - self._first(start)

    def _first(self, clips: int) -> Counter[int]:
        clips = min(clips, self.clips)
        cycles, rest = divmod(clips, len(self.pattern)) if self.pattern else (0, 0)
        counted = Counter({n: count * cycles for n, count in Counter(self.pattern).items()})
        return counted + Counter(self.pattern[:rest])

    def sampled(self, step: int) -> ClipLengths:
        """The same clips with every `step`-th frame only, from the first."""
        return replace(self, pattern=tuple(-(-frames // step) for frames in self.pattern))

    def scaled(self, clips: int | None, frames_per_clip: int | None) -> ClipLengths:
        """Another number of clips, or clips of another length; None leaves it as it is."""
        changed = self
        if clips is not None:
            what = f"{clips:,} clips on paper, as long as those of: {self.source}"
            changed = replace(changed, clips=clips, source=what)
        if frames_per_clip is not None:
            source = f"{changed.clips:,} clips of {frames_per_clip} frames, on paper"
            changed = replace(changed, pattern=(frames_per_clip,), source=source)
        return changed


def clip_lengths(settings: StudySettings, split: str) -> ClipLengths:
    """Lengths of all clips of a split of the settings' data set; no image is opened.

    Raises:
        DataError: the data set is there, but cannot be used.
        SettingsError: it is not there, and no data set with published sizes is known by its name.
    """
    name = settings.dataset
    if name in GENERATED:
        if split not in _DEMO[name]:
            raise SettingsError(f"split {split!r}: {name} has {', '.join(_DEMO[name])}")
        one = _DEMO[name][split]
        return ClipLengths((one.frames,), one.clips, f"{name} {split}, as generated")
    root = PROJECT / name
    if root.exists():
        opened = open_dataset(root, split, stray_labels=settings.stray_labels)
        lengths = tuple(clip.num_frames for clip in opened)
        return ClipLengths(lengths, len(lengths), f"{name} {split}, counted on disk")
    return _published(name, split)


def _published(dataset: str, split: str) -> ClipLengths:
    """Equally long clips, as many and together as long as the authors say."""
    found = [
        facts
        for facts in load_datasets_manifest().values()
        if Path(dataset).name.lower().startswith(facts.name)
    ]
    if not found or split not in found[0].splits:
        raise SettingsError(
            f"dataset {dataset}: not there, and no published sizes of its split {split!r} are "
            "known; lay the data out, or give --set dataset=FOLDER"
        )
    facts, size = found[0], found[0].splits[split]
    said = f"published: {size.clips:,} clips"
    if size.frames is None:
        every = sum(one.clips for one in facts.splits.values())
        frames = round(facts.frames * size.clips / every)
        said += f", as long as the mean of all splits ({frames:,} frames)"
    else:
        frames = size.frames
        said += f", {frames:,} frames"
    short, longer = divmod(frames, size.clips)
    pattern = (short + 1,) * longer + (short,) * (size.clips - longer)
    source = f"{dataset} {split} is not there; {said}, taken as equally long"
    return ClipLengths(pattern, size.clips, source)
