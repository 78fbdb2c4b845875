"""The moving things of the generated world: silhouettes as signed distances, painted in parts.

A thing lives in its own coordinates: `u` to the right, `v` down, about -1..1. Each kind is a list
of parts (signed distance, colour), later parts over earlier ones; the union is the silhouette.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]  # (h, w)
Colour = NDArray[np.floating[Any]]  # (3,)
Part = tuple[Plane, Plane | Colour]  # distance (h, w); colour (3,) or (h, w, 3)


@dataclass(frozen=True)
class Style:
    """What makes one instance of a kind look like itself."""

    main: Colour
    second: Colour
    detail: float  # 0..1, read differently by each kind


def _circle(u: Plane, v: Plane, cu: float, cv: float, radius: float) -> Plane:
    return np.hypot(u - cu, v - cv) - radius


def _box(u: Plane, v: Plane, cu: float, cv: float, a: float, b: float, r: float = 0.03) -> Plane:
    qu, qv = np.abs(u - cu) - (a - r), np.abs(v - cv) - (b - r)
    return np.hypot(np.maximum(qu, 0), np.maximum(qv, 0)) + np.minimum(np.maximum(qu, qv), 0) - r


def _striped(pattern: NDArray[np.bool_], first: Colour, second: Colour) -> Plane:
    return np.where(pattern[..., None], first, second).astype(np.float32)


_DARK = np.array([0.12, 0.12, 0.14], np.float32)
_SKIN = np.array([0.85, 0.66, 0.52], np.float32)
_GLASS = np.array([0.70, 0.84, 0.90], np.float32)
_LIGHT = np.array([0.98, 0.88, 0.55], np.float32)


def _balloon(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    stripes = np.sin(u * (6 + 8 * style.detail)) > 0
    envelope = np.hypot(u, (v + 0.22) * 0.92) - 0.74
    ropes = np.minimum(
        np.abs(u - 0.22 + 0.1 * (v - 0.5)) - 0.03, np.abs(u + 0.22 - 0.1 * (v - 0.5)) - 0.03
    )
    ropes = np.maximum(ropes, np.maximum(0.3 - v, v - 0.85))
    basket = _box(u, v, 0, 0.88, 0.26, 0.15)
    return [
        (ropes, _DARK),
        (envelope, _striped(stripes, style.main, style.second)),
        (basket, np.array([0.45, 0.3, 0.16], np.float32)),
    ]


def _ball(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    band = np.abs(v) < 0.22 + 0.2 * style.detail
    return [(_circle(u, v, 0, 0, 0.82), _striped(band, style.second, style.main))]


def _crate(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    frame = (np.maximum(np.abs(u), np.abs(v)) > 0.6) | (np.abs(u - v) < 0.13)
    wood = np.array([0.72, 0.52, 0.30], np.float32) * (0.75 + 0.4 * style.detail)
    return [(_box(u, v, 0, 0, 0.78, 0.78), _striped(frame, wood * 0.62, wood))]


def _car(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    lean = 0.1 * (style.detail - 0.5)
    return [
        (_box(u, v, lean, -0.2, 0.55, 0.32, 0.12), style.main * 0.85),
        (_box(u, v, lean, -0.2, 0.43, 0.18, 0.06), _GLASS * 0.8),
        (_box(u, v, 0, 0.18, 0.98, 0.27, 0.14), style.main),
        (_circle(u, v, -0.52, 0.45, 0.22), _DARK),
        (_circle(u, v, 0.52, 0.45, 0.22), _DARK),
    ]


def _person(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    legs = [
        _box(u - side * (0.12 + 0.12 * swing * (v - 0.2)), v, 0, 0.6, 0.11, 0.42)
        for side in (-1.0, 1.0)
    ]
    arms = [
        _box(u - side * (0.3 - 0.25 * swing * side * (v + 0.35)), v, 0, -0.1, 0.08, 0.34)
        for side in (-1.0, 1.0)
    ]
    return [
        (np.minimum(*legs), style.second * 0.6),
        (np.minimum(*arms), style.main * 0.8),
        (_box(u, v, 0, -0.12, 0.27, 0.38, 0.1), style.main),
        (_circle(u, v, 0, -0.7, 0.23), _SKIN),
    ]


def _kite(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    sail = (np.abs(u) * 0.8 + np.abs(v + 0.2) * 0.6 - 0.42).astype(np.float32)
    tail = np.abs(u - 0.14 * np.sin(6 * v + 3 * swing)) - 0.05
    tail = np.maximum(tail, np.maximum(0.45 - v, v - 1.3))
    return [(tail, style.second), (sail, _striped(u * (v + 0.2) > 0, style.main, style.second))]


def _lamp(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    metal = _DARK + 0.15 * style.detail
    return [
        (_box(u, v, 0, 0.15, 0.055, 0.9), metal),
        (_box(u, v, 0, 1.0, 0.2, 0.06), metal),
        (_box(u, v, 0, -0.85, 0.2, 0.17, 0.08), _LIGHT),
    ]


def _puff(u: Plane, v: Plane, style: Style, swing: float) -> list[Part]:
    blobs = [
        _circle(u, v, 0.45 * np.cos(a + style.detail), 0.35 * np.sin(2 * a), 0.45)
        for a in (0.3, 1.7, 2.9, 4.4)
    ]
    return [(np.minimum.reduce(blobs), np.array([0.74, 0.73, 0.72], np.float32))]


@dataclass(frozen=True)
class Kind:
    """How a kind of thing looks, where it lives and how it moves (lengths in frame heights)."""

    parts: Callable[[Plane, Plane, Style, float], list[Part]]
    extent: float  # radius of the silhouette in units of its size
    size: tuple[float, float]  # range of the radius
    band: tuple[float, float]  # range of the centre's height, 0 = top
    speed: tuple[float, float]  # largest |velocity| per frame, horizontal and vertical
    sway: float  # amplitude of the oscillation around the path
    spin: float  # rad per frame, largest; 0 keeps the thing upright
    pulse: float  # relative change of size


#: the seven labelled kinds, then the unlabelled one (void in the ground truth)
KINDS: dict[str, Kind] = {
    "balloon": Kind(_balloon, 1.15, (0.13, 0.26), (0.15, 0.5), (0.005, 0.003), 0.04, 0.0, 0.15),
    "ball": Kind(_ball, 0.9, (0.07, 0.15), (0.4, 0.9), (0.009, 0.002), 0.08, 0.08, 0.05),
    "crate": Kind(_crate, 1.15, (0.09, 0.18), (0.55, 0.9), (0.006, 0.002), 0.03, 0.04, 0.1),
    "car": Kind(_car, 1.1, (0.15, 0.27), (0.6, 0.9), (0.011, 0.001), 0.01, 0.0, 0.12),
    "person": Kind(_person, 1.15, (0.17, 0.3), (0.5, 0.85), (0.006, 0.001), 0.01, 0.0, 0.08),
    "kite": Kind(_kite, 1.4, (0.12, 0.22), (0.12, 0.45), (0.006, 0.003), 0.06, 0.03, 0.1),
    "lamp": Kind(_lamp, 1.15, (0.25, 0.42), (0.5, 0.75), (0.0, 0.0), 0.0, 0.0, 0.0),
    "puff": Kind(_puff, 1.0, (0.07, 0.13), (0.2, 0.7), (0.005, 0.003), 0.04, 0.02, 0.3),
}


def paint(kind: Kind, u: Plane, v: Plane, style: Style, swing: float) -> tuple[Plane, Plane]:
    """Colour and silhouette of a thing.

    `u` and `v` are (h, w) coordinates to the right and downwards in units of the thing's size, and
    `swing` is the phase -1..1 of moving limbs and tails.

    Returns:
        (h, w, 3) float32 colour and (h, w) float32 signed distance, negative inside.
    """
    parts = kind.parts(u, v, style, swing)
    colour = np.empty((*u.shape, 3), np.float32)
    colour[:] = parts[0][1]
    distance = parts[0][0]
    for part_distance, part_colour in parts[1:]:
        covered = part_distance < np.maximum(distance, 0)
        colour = np.where(covered[..., None], part_colour, colour)
        distance = np.minimum(distance, part_distance)
    return colour, distance.astype(np.float32)


@dataclass
class Thing:
    """One instance: its look and the parameters of its path (lengths in px, times in frames)."""

    kind: Kind
    label: int
    style: Style
    size: float
    centre: NDArray[np.float64]
    velocity: NDArray[np.float64]
    sway: NDArray[np.float64]
    rate: NDArray[np.float64]
    phase: NDArray[np.float64]
    angle: float
    spin: float
    pulse: float
    grain: Plane
    shade: NDArray[np.float32]

    def pose(
        self, t: float, pan: NDArray[np.float64], extent: tuple[int, int]
    ) -> tuple[float, ...]:
        """Centre (x, y), size and angle at time `t`, reflected so that movers stay in view."""
        centre = self.centre + self.velocity * t + self.sway * np.sin(self.rate * t + self.phase)
        centre = centre - pan
        if self.velocity.any():
            for axis, length in enumerate(extent):
                inner = (centre[axis] + 0.03 * length) % (2.12 * length)
                centre[axis] = min(inner, 2.12 * length - inner) - 0.03 * length
        size = self.size * (1 + self.pulse * np.sin(self.rate[0] * t + self.phase[1]))
        return float(centre[0]), float(centre[1]), float(size), self.angle + self.spin * t
