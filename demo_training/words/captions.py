"""What a region of a generated frame shows, and captions that are true of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_parts

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.isam2.words.settings import TEMPLATES

_LEAST_AREA_PX = 80
#: names of colours, and what they stand for in RGB, 0..1
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.8, 0.15, 0.15),
    "orange": (0.9, 0.55, 0.15),
    "yellow": (0.85, 0.85, 0.2),
    "green": (0.25, 0.65, 0.2),
    "blue": (0.25, 0.4, 0.8),
    "purple": (0.6, 0.25, 0.7),
    "pink": (0.9, 0.5, 0.75),
    "brown": (0.45, 0.3, 0.18),
    "white": (0.9, 0.9, 0.9),
    "grey": (0.55, 0.55, 0.55),
    "black": (0.13, 0.13, 0.14),
}
#: other words for classes of the generated world, beside their names
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "sky": ("clouds",),
    "hill": ("mountain",),
    "forest": ("trees",),
    "water": ("lake",),
    "meadow": ("grass",),
    "balloon": ("hot air balloon",),
    "crate": ("wooden box",),
    "car": ("vehicle",),
    "person": ("pedestrian",),
    "lamp": ("street light",),
}


@dataclass(frozen=True)
class Region:
    """A connected part of one class on a frame."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB, shared by the regions of a frame
    mask: NDArray[np.bool_]  # (H, W)
    label: int  # its class, 0..C-1
    colour: int  # index into `COLOURS` of the one that its mean is closest to


@dataclass(frozen=True)
class Caption:
    """Words, and of which regions they are true."""

    text: str
    label: int
    colour: int | None  # None where the words name none

    def of(self, region: Region) -> bool:
        """Whether the caption is true of a region."""
        return self.label == region.label and self.colour in (None, region.colour)


def regions_of(dataset: Dataset, frame_step: int) -> list[Region]:
    """The regions on every n-th frame of a data set, from the first."""
    found, known = list[Region](), np.array([*COLOURS.values()])
    for clip in dataset:
        for index in range(0, clip.num_frames, frame_step):
            image, truth = clip.frame(index), clip.ground_truth(index)
            for label in range(dataset.num_classes):
                labelled: Any = connected_parts(truth == label)
                parts, count = labelled
                for part in range(1, count + 1):
                    mask = parts == part
                    if mask.sum() >= _LEAST_AREA_PX:
                        mean = image[mask].mean(0) / 255
                        colour = int(((known - mean) ** 2).sum(1).argmin())
                        found.append(Region(image, mask, label, colour))
    return found


def caption_of(region: Region, names: Sequence[str], rng: np.random.Generator) -> Caption:
    """A caption that is true of a region, with its colour half of the time."""
    name = names[region.label]
    phrase = str(rng.choice([name, name, *OTHER_WORDS.get(name, ())]))
    colour = region.colour if rng.random() < 0.5 else None
    if colour is not None:
        phrase = f"{[*COLOURS][colour]} {phrase}"
    return Caption(str(rng.choice(TEMPLATES)).format(phrase), region.label, colour)


def every_text(names: Sequence[str]) -> list[str]:
    """All words that captions are made of, in captions."""
    phrases = [word for name in names for word in (name, *OTHER_WORDS.get(name, ()))]
    coloured = [f"{colour} {phrase}" for colour in COLOURS for phrase in phrases]
    return [template.format(p) for template in TEMPLATES for p in (*phrases, *coloured)]
