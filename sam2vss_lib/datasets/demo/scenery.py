"""What tells one generated world from another: surfaces, light, motion, how often things occur."""

from collections.abc import Mapping
from dataclasses import dataclass

from sam2vss_lib.datasets.demo.textures import STUFF, Painter


@dataclass(frozen=True)
class Scenery:
    """The parameters of a world; the defaults are the first world's.

    The first world must stay the same in every bit, because models were trained on it: where a
    parameter is None, no random number is drawn and no arithmetic done for it.
    """

    stuff: tuple[Painter, ...] = tuple(STUFF.values())  # of the stuff classes, in their order
    stuff_weights: tuple[float, ...] | None = None  # probabilities in that order; None: equal ones
    sky_chance: float = 0.85  # that the topmost layer is sky whatever was drawn
    thing_weights: Mapping[str, float] | None = None  # of labelled kinds by name; None: equal ones
    things: tuple[int, int] = (3, 9)  # range of their number, the end not included
    group_chance: float = 0.3  # of a thing being a group of touching instances
    puff_chance: float = 0.4  # of a puff of smoke
    size: float = 1.0  # factor on the size of things
    speed: float = 1.0  # factor on their velocity
    thing_light: tuple[float, float, float] | None = None  # factors on their RGB; None by day
    pan_px: float = 1.2  # largest speed of the camera, px per frame
    noise: tuple[float, float] = (0.004, 0.03)  # range of the standard deviation, white being 1


DAY = Scenery()
"""The first world: a landscape by day."""
