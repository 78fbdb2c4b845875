"""Films of pictures: MP4 for players and browsers, GIF for where no player is."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from PIL import Image

from sam2vss_lib.errors import RunError
from sam2vss_lib.storage.files import atomic_path
from sam2vss_lib.views.layers import Picture

#: H.264, which every browser plays, by the first encoder that is there; else what is everywhere
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_OPTIONS = {"libx264": {"preset": "fast", "crf": "23"}, "mpeg4": {"qscale": "3"}}
_COLOURS = 255  # of a GIF


@contextmanager
def film(path: Path, fps: float) -> Generator[Callable[[Picture], None]]:
    """Yield what takes the pictures of an MP4, (H, W, 3) uint8 RGB each, one by one.

    They are of one size; one that is odd is made even by doubling the last row or column, as the
    colours of H.264 are stored for squares of four pixels. Few pictures are held, whatever the
    length; the file appears whole when the block ends, or not at all.

    Raises:
        RunError: no picture came.
    """
    with atomic_path(path) as temporary:
        container = av.open(temporary, "w", format="mp4", options={"movflags": "faststart"})
        with container:
            stream: av.VideoStream | None = None

            def add(picture: Picture) -> None:
                nonlocal stream
                height, width = picture.shape[:2]
                if stream is None:
                    name = next(one for one in _ENCODERS if one in av.codecs_available)
                    rate = Fraction(fps).limit_denominator(1001)
                    added = container.add_stream(name, rate, options=_OPTIONS.get(name, {}))
                    stream = cast(av.VideoStream, added)
                    stream.width, stream.height = width + width % 2, height + height % 2
                    stream.pix_fmt = "yuv420p"
                even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

            yield add
            if stream is None:
                raise RunError(f"{path}: a film of no pictures; give at least one")
            container.mux(stream.encode())


def write_gif(path: Path, pictures: Sequence[Picture], fps: float) -> None:
    """Write pictures, (H, W, 3) uint8 RGB of one size, as an endless GIF, whole or not at all.

    All share the colours of the middle one, so that what stands still does not flicker. They are
    held in memory all together: it is for few and small ones.
    """
    images = [Image.fromarray(picture) for picture in pictures]
    colours = images[len(images) // 2].quantize(_COLOURS, dither=Image.Dither.NONE)
    first, *others = (one.quantize(palette=colours, dither=Image.Dither.NONE) for one in images)
    with atomic_path(path) as temporary:
        duration_ms = max(20, round(1000 / fps))  # browsers slow down what is shorter
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=duration_ms,
            loop=0,
        )
