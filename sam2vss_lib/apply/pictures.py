"""The pictures of films: frame, base, refined and changed side by side, and masklets by number."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.settings import Overlap
from sam2vss_lib.views.layers import (
    NO_MASKLET,
    Picture,
    blend,
    change_layer,
    colour_labels,
    masklet_ids,
    masklet_layer,
)

_LEAST_PX, _MOST_PX = 480, 960  # width of a panel: small ones are enlarged, large ones reduced
_LABELS, _CHANGES, _MASKLETS = 0.65, 0.9, 1.0  # opacities
_STRIP, _WORDS = (24, 28, 36), (240, 240, 240)  # colours of captions
_GAP_PX = 4  # between panels
_NUMBERED = 0.002  # share of the frame that a masklet covers at least to have its number shown


def changed_pixels(frame: Picture, base: Labels, refined: Labels, truth: Labels | None) -> Picture:
    """The changed pixels over a faded frame, (H, W, 3) uint8."""
    grey = frame.mean(-1, keepdims=True).repeat(3, -1)
    faded = (0.55 * 255 + 0.4 * grey).astype(np.uint8)
    return blend(faded, (change_layer(base, refined, truth), _CHANGES))


def panels(
    frame: Picture, base: Labels, refined: Labels, truth: Labels | None, num_classes: int
) -> list[Picture]:
    """Frame, base, refined and changed pixels, (H, W, 3) uint8 each."""
    maps = [blend(frame, (colour_labels(one, num_classes), _LABELS)) for one in (base, refined)]
    return [frame, *maps, changed_pixels(frame, base, refined, truth)]


def numbered_masklets(
    frame: Picture, part: FrameMasklets | None, overlap: Overlap
) -> tuple[Picture, int]:
    """The masklets over a frame, those of some size with their numbers; and how many are seen."""
    if part is None:
        return frame, 0
    ids = masklet_ids(part, overlap)
    picture = Image.fromarray(blend(frame, (masklet_layer(ids), _MASKLETS)))
    present, counts = np.unique(ids, return_counts=True)
    draw, font = ImageDraw.Draw(picture), _font(max(10, frame.shape[1] // 50))
    seen = present != NO_MASKLET
    for number in present[seen & (counts >= _NUMBERED * ids.size)]:
        x, y = _inside(ids == number)
        draw.text(
            (x, y), str(number), "white", font, anchor="mm", stroke_width=2, stroke_fill="black"
        )
    return np.asarray(picture), int(seen.sum())


def _inside(region: NDArray[np.bool_]) -> tuple[int, int]:
    """A pixel of a region near its middle: in the row that halves it, the middle one."""
    rows = np.cumsum(region.sum(1))
    y = int(np.searchsorted(rows, rows[-1] / 2))
    columns = np.flatnonzero(region[y])
    return int(columns[len(columns) // 2]), y


def side_by_side(pictures: Sequence[Picture], captions: Sequence[str]) -> Picture:
    """Pictures of one size, (H, W, 3) uint8, under their captions.

    Upright ones stand in a row, others in rows of two, where each is largest on a screen.
    """
    height, width = pictures[0].shape[:2]
    labelled = [_captioned(*one) for one in zip(pictures, captions, strict=True)]
    columns = len(labelled) if height > width or len(labelled) < 3 else 2
    rows = [labelled[i : i + columns] for i in range(0, len(labelled), columns)]
    return _spaced([_spaced(row, axis=1) for row in rows], axis=0)


def _spaced(pictures: Sequence[Picture], axis: int) -> Picture:
    """Pictures joined along an axis, with a gap between neighbours."""
    shape = list(pictures[0].shape)
    shape[axis] = _GAP_PX
    gap = np.full(shape, _STRIP, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis)


def enlarged(width: int) -> float:
    """How many times as large a panel of frames of this width is in films.

    It is a whole number for small ones, so that single pixels stay squares.
    """
    return -(-_LEAST_PX // width) if width <= _MOST_PX else _MOST_PX / width


def _captioned(picture: Picture, caption: str) -> Picture:
    width = picture.shape[1]
    if width > _MOST_PX:
        picture = resized(picture, _MOST_PX)
    else:
        times = int(enlarged(width))
        picture = picture.repeat(times, 0).repeat(times, 1)
    width = picture.shape[1]
    size = min(20, max(12, width // 40))
    strip = Image.new("RGB", (width, 2 * size - size % 2), _STRIP)
    draw = ImageDraw.Draw(strip)
    caption = caption.replace("\N{NO-BREAK SPACE}", " ")  # which the font has not
    draw.text((size // 2, strip.height // 2), caption, _WORDS, _font(size), anchor="lm")
    return np.vstack([np.asarray(strip), picture])


def resized(picture: Picture, width: int) -> Picture:
    """A picture, (H, W, 3) uint8, reduced to a width, its shape kept."""
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
