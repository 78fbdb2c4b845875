"""Any source as a data set: a root as it is, a video or a folder of frames by conversion."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sam2vss_lib.apply.job import Job
from sam2vss_lib.datasets import GENERATED, Dataset, open_dataset
from sam2vss_lib.datasets.converting.video import convert_video, video_facts
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.images import image_size
from sam2vss_lib.datasets.layout import is_plain_name, is_root
from sam2vss_lib.datasets.listing import list_frames
from sam2vss_lib.errors import SettingsError


@dataclass(frozen=True)
class Source:
    """What there is to work on, as far as it is known before anything is decoded."""

    kind: str  # "video", "folder of frames" or "data set"
    name: str  # of its file or folder; of the clip, unless it is a data set
    clips: dict[str, int]  # frames by clip, of a video as its header promises
    size: tuple[int, int]  # (height, width) of the first frame
    fps: float | None = None  # of a video
    stems: tuple[str, ...] = ()  # names of a folder's frames without suffixes, in order

    @property
    def frames(self) -> int:
        """Frames of all clips."""
        return sum(self.clips.values())

    @property
    def converted(self) -> bool:
        """Whether the data set is made of it."""
        return self.kind != "data set"


def look_at(job: Job) -> Source:
    """Tell a source by what is there; little is read.

    Raises:
        DataError: it is not there, is neither of the three, or has no name for a clip.
        SettingsError: a setting is not for it.
    """
    path = Path(os.path.abspath(job.source))
    if job.source in GENERATED or (is_root(path, job.split)):
        if job.max_frames is not None:
            raise SettingsError("--max-frames: is for a video or a folder of frames")
        dataset = _open(job, job.source)
        clips = {clip.name: clip.num_frames for clip in dataset}
        return Source("data set", path.name, clips, dataset.clips[0].size)
    if not path.exists():
        hint = "give a video, a folder of frames, a data set root, or demo"
        raise FileFault(path, "no such file or folder", hint)
    name = path.name if path.is_dir() else path.stem
    if not is_plain_name(name):
        raise FileFault(path, "its name is no plain name for a clip", "rename it")
    files = list_frames(path).checked().files if path.is_dir() else {}
    if job.model is None and job.num_classes is None:  # before the work of converting
        raise SettingsError("--num-classes: is needed for predictions of a video or of frames")
    if job.out.absolute().is_relative_to(path):
        raise SettingsError(f"{job.out}: lies in the folder of frames; choose another --out")
    if files:
        stems = tuple(files)[: job.max_frames]
        size = image_size(path / files[stems[0]])
        return Source("folder of frames", name, {name: len(stems)}, size, stems=stems)
    facts = video_facts(path)
    frames = min(facts.frames, job.max_frames or facts.frames)
    return Source("video", name, {name: frames}, facts.size, facts.fps)


def open_source(
    job: Job, source: Source, warn: Callable[[str], None], progress: Callable[[str], None]
) -> Dataset:
    """Open a source as a data set, which is made where it is none yet; a finished one is reused.

    `warn` is told what is odd about a video or folder, `progress` the clip of every frame that is
    converted.

    Raises:
        DataError: it cannot be read, or OUT/data was made from something else.
        SettingsError: a setting disagrees with the data set.
    """
    if not source.converted:
        return _open(job, job.source)
    path = Path(os.path.abspath(job.source))
    convert_video(
        path,
        job.data,
        clip=source.name,
        split=job.split,
        max_frames=job.max_frames,
        warn=warn,
        progress=progress,
    )
    return open_dataset(job.data, job.split, num_classes=job.num_classes, clips=[source.name])


def _open(job: Job, root: str) -> Dataset:
    return open_dataset(
        root,
        job.split,
        num_classes=job.num_classes,
        mask_offset=job.mask_offset,
        stray_labels=job.stray_labels,
    ).take(job.max_clips)
