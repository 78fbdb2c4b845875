"""What tells one generated world from another: surfaces, light, motion, how often things occur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sam2vss_lib.datasets.demo.textures import STUFF, Painter


@dataclass(frozen=True)
class Scenery:
    """The parameters of a world; the defaults are the first world's.

    The first world must stay the same in every bit, because models were trained on it: where a
    parameter is None, no random number is drawn and no arithmetic done for it.

    Attributes:
        stuff: a painter for each stuff class, as in `STUFF`.
        stuff_weights: probability of each stuff class in the order of `STUFF`; None for equal ones.
        sky_chance: that the topmost layer is sky whatever was drawn.
        thing_weights: probability of each labelled kind of thing by name; None for equal ones.
        things: range of their number, the end not included.
        group_chance: of a thing being a group of touching instances.
        puff_chance: of a puff of smoke.
        size: factor on the size of things.
        speed: factor on their velocity.
        thing_light: factors on the red, green and blue of things; None for daylight.
        pan_px: largest speed of the camera, px per frame.
        noise: range of the sensor noise's standard deviation, white being 1.
    """

    stuff: Mapping[str, Painter] = field(default_factory=lambda: STUFF)
    stuff_weights: tuple[float, ...] | None = None
    sky_chance: float = 0.85
    thing_weights: Mapping[str, float] | None = None
    things: tuple[int, int] = (3, 9)
    group_chance: float = 0.3
    puff_chance: float = 0.4
    size: float = 1.0
    speed: float = 1.0
    thing_light: tuple[float, float, float] | None = None
    pan_px: float = 1.2
    noise: tuple[float, float] = (0.004, 0.03)


DAY = Scenery()
"""The first world: a landscape by day."""
