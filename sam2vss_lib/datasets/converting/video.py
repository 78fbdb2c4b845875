"""Any video file, or a folder of images, as a clip in VSPW layout."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError
from PIL import Image

from sam2vss_lib.datasets.converting.converted import LOCK, make_clip
from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.datasets.images import check_same_size, decode_frame
from sam2vss_lib.datasets.layout import is_plain_name
from sam2vss_lib.datasets.listing import list_frames, say_uneven_steps
from sam2vss_lib.datasets.splits import add_to_split
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import held, sha256_file
from sam2vss_lib.storage.records import sha256_files

_log = logging.getLogger(__name__)
_JPEG_QUALITY = 95  # frames are for models, and VSPW's own were saved nearly as finely
_SLACK_S = 0.1  # by which a video may be shorter than it promises, as times are rounded
_SOUND_S = 0.5  # the same where only sound and picture together have a length
_MAX_GAP_S = 3600  # between frames; more is a broken time stamp, not a video


def convert_video(
    source: Path,
    root: Path,
    *,
    clip: str | None = None,
    split: str = "val",
    fps: float | None = None,
    max_frames: int | None = None,
    height_px: int | None = None,
    warn: Callable[[str], None] = _log.warning,
    progress: Callable[[str], None] = lambda clip: None,
) -> tuple[str, bool]:
    """Make a clip of a video file or of a folder of images, and put it on a split list.

    Frames are named 00000001, 00000002, ... as VSPW's are; images are taken in the order of their
    numbers. The clip, by default of the source's name, appears in the root, which is made when
    missing, when it is complete. One that was made from the same source with the same settings is
    left alone.

    By default every frame is taken, as it is; with `fps` at each point of time the frame then
    shown, which images do not know, and with `height_px` resized to this height and the width
    `int(height_px * w / h)`. `warn` is told of gaps in the numbering of images, and of a video that
    ends early, `progress` the clip's name for every frame that is written.

    Returns:
        The clip's name, and whether it was there already.

    Raises:
        DataError: the source cannot be read, or a clip of this name was made from something else.
        SettingsError: an argument cannot be used.
    """
    name = clip or source.name.removesuffix(source.suffix if source.is_file() else "")
    if not is_plain_name(name):
        raise SettingsError(f"clip is {name!r}; give it a plain name with --clip")
    if not is_plain_name(split):
        raise SettingsError(f"split is {split!r}; it must be a plain name, such as 'val'")
    for field, value in (("fps", fps), ("max_frames", max_frames), ("height_px", height_px)):
        if value is not None and not 0 < value <= 100_000:
            raise SettingsError(f"{field} is {value}; it must be in 1..100000")
    if not source.exists():
        raise FileFault(source, "no such file or folder", "check the path of the video")
    if source.is_dir():
        if fps is not None:
            raise SettingsError(f"fps: {source} holds images, which have no times; leave it out")
        listed = list_frames(source).checked().files
        files = [source / file for file in listed.values()]
        if uneven := say_uneven_steps(listed):
            warn(f"{source}: {uneven}")
        frames, identity = _images(files), sha256_files(files)
    else:
        frames, identity = _video_frames(source, fps, warn), sha256_file(source)
    made_from = {
        "conversion": "video",
        "source_sha256": identity,
        "fps": fps,
        "max_frames": max_frames,
        "height_px": height_px,
    }
    with held(root / LOCK):
        path = root / f"{split}.txt"
        add_to_split(path)  # refused before any work
        write = partial(
            _write_frames, source, islice(frames, max_frames), height_px, partial(progress, name)
        )
        there = make_clip(root, name, made_from, write)
        add_to_split(path, [name])
    return name, there


def _write_frames(
    source: Path,
    frames: Iterator[tuple[Path, Image.Image]],
    height_px: int | None,
    progress: Callable[[], None],
    folder: Path,
    _masks: Path,
) -> None:
    """Write frames as JPEGs; they must all have the first one's size."""
    first: tuple[Path, tuple[int, int]] | None = None
    for number, (path, image) in enumerate(frames, start=1):
        size = (image.height, image.width)
        first = first or (path, size)
        check_same_size(path, size, *first)
        if height_px is not None:
            size_px = (max(1, int(height_px * image.width / image.height)), height_px)
            image = image.resize(size_px, Image.Resampling.BILINEAR)
        image.convert("RGB").save(folder / f"{number:08d}.jpg", quality=_JPEG_QUALITY)
        progress()
    if first is None:
        raise FileFault(source, "holds no frames", "check that it is a video, or images")


def _images(files: list[Path]) -> Iterator[tuple[Path, Image.Image]]:
    for path in files:
        image = decode_frame(path, read_bytes(path))
        image.info.pop("transparency", None)
        yield path, image


def _video_frames(
    path: Path, fps: float | None, warn: Callable[[str], None]
) -> Iterator[tuple[Path, Image.Image]]:
    """The frames of a video, or with `fps` the frame shown at 0, 1/fps, 2/fps, ... seconds."""
    with _opened(path) as container:
        for frame in _at_times(path, _decoded(path, container, warn), fps):
            image: Image.Image = frame.to_image()
            # what a phone records upright is stored lying down, with a note to turn it
            turned = image.rotate(frame.rotation, expand=True) if frame.rotation else image
            yield path, turned


class VideoFacts(NamedTuple):
    """What the header of a video promises."""

    frames: int  # 0 where it is not said
    fps: float | None
    size: tuple[int, int]  # (height, width) as it is shown


def video_facts(path: Path) -> VideoFacts:
    """Read the header of a video, and its first frame, which says how it is turned.

    Raises:
        DataError: it cannot be opened, or holds no video.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate, length_s = stream.average_rate, Fraction(container.duration or 0, av.time_base)
        frames = stream.frames or round(length_s * (rate or 0))
        first = next(container.decode(stream), None)
        lies = first is not None and first.rotation % 180 != 0
        size = (stream.width, stream.height) if lies else (stream.height, stream.width)
        return VideoFacts(frames, float(rate) if rate else None, size)


@contextmanager
def _opened(path: Path) -> Generator[InputContainer]:
    """Open a video; what cannot be decoded in the block is said in one line."""
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise FileFault(path, "holds no video", "check that it is a video")
            yield container
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "check that it is a whole video in a format that FFmpeg knows"
        raise FileFault(path, f"cannot be decoded ({reason})", hint) from None


def _decoded(
    path: Path, container: InputContainer, warn: Callable[[str], None]
) -> Iterator[av.VideoFrame]:
    """All frames of a video; fewer than its container promises are said."""
    stream = container.streams.video[0]
    rate = stream.average_rate or Fraction(25)
    length_s = Fraction(container.duration or 0, av.time_base)
    slack_s = _SOUND_S if container.streams.audio else _SLACK_S
    if stream.duration is not None and stream.time_base is not None:
        length_s, slack_s = stream.duration * stream.time_base, _SLACK_S
    # some containers (.mkv, .webm) say no number of frames, others (.avi) no length that holds
    length_s = max(length_s, stream.frames / rate)
    found, begin_s, end_s = 0, Fraction(0), Fraction(0)
    try:
        for frame in container.decode(stream):
            found += 1
            if frame.pts is not None and frame.time_base is not None:
                begin_s = min(frame.pts * frame.time_base, begin_s)
                end_s = (frame.pts + (frame.duration or 0)) * frame.time_base - begin_s
            yield frame
    except FFmpegError as error:
        of = f"{stream.frames or round(length_s * rate)} promised ({error.strerror})"
        hint = "fetch the file again, or stop before it with --max-frames"
        raise FileFault(path, f"cannot be decoded after frame {found} of {of}", hint) from None
    if end_s < length_s - max(slack_s, 3 / rate / 2):
        promised = stream.frames or (round(found * length_s / end_s) if end_s else "more")
        warn(f"{path}: ends early: {found} frames found, {promised} promised; fetch the file again")


def _at_times(
    path: Path, frames: Iterator[av.VideoFrame], fps: float | None
) -> Iterator[av.VideoFrame]:
    """Frames resampled in time; exact fractions, so that no rounding doubles or drops one."""
    if fps is None:
        yield from frames
        return
    step = 1 / Fraction(fps).limit_denominator(1000)
    shown: av.VideoFrame | None = None
    start = until = due = Fraction(0)
    for frame in frames:
        if frame.pts is None or frame.time_base is None:
            raise FileFault(path, "frames carry no times", "convert it without --fps")
        time = frame.pts * frame.time_base
        if shown is None:
            start = time
        if time - start - until > _MAX_GAP_S:
            problem = f"time stamps jump by {float(time - start - until):.0f} s"
            raise FileFault(path, problem, "convert it without --fps")
        while shown is not None and due < time - start:
            yield shown
            due += step
        shown, until = frame, time - start + (frame.duration or 1) * frame.time_base
    while shown is not None and due < until:
        yield shown
        due += step
