"""Lists of segments in COCO's video panoptic form: VIPSeg's ground truth, and `pred.json`.

    {"annotations": [{"video_id": clip, "annotations": [
        {"file_name": frame, "segments_info": [{"id": 7, "category_id": 12, ...}, ...]},
    ...]}, ...]}

What else such files hold (images, boxes, areas, colours) is not needed and not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, NonNegativeInt, PositiveInt, ValidationError

from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.datasets.listing import stem_of


# The parts of the file: fields that are not named do not matter, those that are must be exact.
class _Segment(BaseModel, strict=True):
    id: PositiveInt
    category_id: NonNegativeInt


class _Frame(BaseModel, strict=True):
    file_name: str
    segments_info: list[_Segment]


class _Clip(BaseModel, strict=True):
    video_id: str
    annotations: list[_Frame]


class _File(BaseModel, strict=True):
    annotations: list[_Clip]


@dataclass(frozen=True)
class SegmentIndex:
    """The category of every segment of every frame."""

    path: Path
    #: category (from 0) by segment id, by frame name without suffix, by clip name
    clips: Mapping[str, Mapping[str, Mapping[int, int]]]

    def frames(self, clip: str) -> frozenset[str]:
        """Names of the frames listed for a clip; none if the clip is not listed."""
        return frozenset(self.clips.get(clip, {}))

    def frame(self, clip: str, frame: str) -> Mapping[int, int]:
        """Category by segment id of one frame.

        Raises:
            DataError: the frame is not listed.
        """
        found = self.clips.get(clip, {}).get(frame)
        if found is None:
            what = f"clip {clip}" if clip not in self.clips else f"frame {frame} of clip {clip}"
            hint = "check that the file is of this data set and split"
            raise FileFault(self.path, f"{what} is not listed", hint)
        return found


def read_segments(path: Path) -> SegmentIndex:
    """Read a list of segments; the last ones read are kept until their files change.

    Raises:
        DataError: missing, not JSON of this form, or with a frame or segment listed twice in
            different ways; the message names the field.
    """
    try:
        status = path.stat()
    except OSError:
        read_bytes(path)  # raises with the fitting message
        raise
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, _mtime_ns: int, _size_bytes: int) -> SegmentIndex:
    try:
        content = _File.model_validate_json(read_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "top level"
        hint = "expected annotations of clips, of frames, of segments with id and category_id"
        raise FileFault(path, f"{field}: {' '.join(first['msg'].split())}", hint) from None
    clips: dict[str, dict[str, dict[int, int]]] = {}
    for clip in content.annotations:
        frames = clips.setdefault(clip.video_id, {})
        for frame in clip.annotations:
            name = stem_of(PurePosixPath(frame.file_name).name)
            categories = _categories(path, frame, clip.video_id)
            if frames.setdefault(name, categories) != categories:
                problem = f"frame {name} of clip {clip.video_id} is listed twice, differently"
                raise FileFault(path, problem, "keep the list of one run")
    return SegmentIndex(path, clips)


def _categories(path: Path, frame: _Frame, clip: str) -> dict[int, int]:
    """Category by id of one frame's segments; the same id may only be repeated as it is."""
    categories: dict[int, int] = {}
    for segment in frame.segments_info:
        if categories.setdefault(segment.id, segment.category_id) != segment.category_id:
            problem = f"segment id {segment.id} of {clip}/{frame.file_name} has two categories"
            raise FileFault(path, problem, "each segment has one: write the list again")
    return categories
