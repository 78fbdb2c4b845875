"""A small generated world: layered landscapes with moving, turning, occluding things.

Every frame comes with its exact region map (one id per stuff layer and per thing), so the same
world trains the micro SAM2 (regions), the base segmentors (classes) and fills the demo data set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.demo.scenery import DAY, Scenery
from sam2vss_lib.datasets.demo.textures import STUFF, Image, value_noise
from sam2vss_lib.datasets.demo.things import KINDS, Style, Thing, paint

#: raw label k + 1 is CLASS_NAMES[k]; puffs of smoke have no class and are void (raw label 0)
CLASS_NAMES: tuple[str, ...] = (*STUFF, *(name for name in KINDS if name != "puff"))
AMBIGUOUS = 255  # raw mask value of the half transparent rim of a puff
HEIGHT_PX, WIDTH_PX = 240, 320
_MARGIN_PX = HEIGHT_PX // 4  # of the landscape around the frame, for the camera to pan


@dataclass(frozen=True)
class Frame:
    """One rendered frame."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    regions: NDArray[np.uint8]  # (H, W) ids; `World.region_labels[id]` is the raw class label
    labels: NDArray[np.uint8]  # (H, W) raw mask, 1..12 classes, 0 and 255 void


class World:
    """A clip of the generated world, deterministic in its seed.

    Its length centres the camera's path; the classes are the same in all sceneries.
    """

    def __init__(self, seed: int, *, num_frames: int = 40, scenery: Scenery = DAY) -> None:
        self.scenery, self.num_frames = scenery, num_frames
        self._rng = np.random.default_rng([seed, HEIGHT_PX, WIDTH_PX])
        self._make_landscape()
        self._make_camera()
        self._things = self._make_things()
        labels = [*self._layer_labels, *(thing.label for thing in self._things)]
        #: (regions,) uint8 raw class label of every region id
        self.region_labels = np.array(labels, np.uint8)

    def _make_landscape(self) -> None:
        """Two to five stuff layers with wavy borders on a canvas larger than the frame."""
        rng, h, w = self._rng, HEIGHT_PX + 2 * _MARGIN_PX, WIDTH_PX + 2 * _MARGIN_PX
        painters, weights = self.scenery.stuff, self.scenery.stuff_weights
        count = int(rng.integers(2, len(painters) + 1))
        chosen = sorted(rng.choice(len(painters), count, replace=False, p=weights).tolist())
        if rng.random() < self.scenery.sky_chance:
            chosen[0] = 0
        cuts = _MARGIN_PX + HEIGHT_PX * np.sort(rng.uniform(0.15, 0.9, len(chosen) - 1))
        layers = np.zeros((h, w), np.uint8)
        x, y = np.arange(w), np.arange(h)[:, None]
        for index, cut in enumerate(cuts):
            border = cut + (x - w / 2) * rng.uniform(-0.12, 0.12)
            for wave in range(1, 4):
                period = rng.uniform(0.15, 1.2) * WIDTH_PX
                border += rng.uniform(0, 0.05 * HEIGHT_PX / wave) * np.sin(
                    2 * np.pi * x / period + rng.uniform(0, 6.3)
                )
            layers[y > border] = index + 1
        canvas = np.zeros((h, w, 3), np.float32)
        for index, stuff in enumerate(chosen):
            inside = layers == index
            if inside.any():
                canvas[inside] = painters[stuff](rng, h, w)[inside]
        self._canvas, self._layers = canvas, layers
        self._layer_labels = [stuff + 1 for stuff in chosen]

    def _make_camera(self) -> None:
        """Pan, light, blur and sensor noise of the clip."""
        rng = self._rng
        heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0, self.scenery.pan_px)
        self._pan_velocity = speed * np.array([np.cos(heading), 0.3 * np.sin(heading)])
        self._pan_sway = rng.uniform(0, 3, 2)
        self._pan_rate = rng.uniform(0.1, 0.4, 2)
        self._light = (rng.uniform(0, 0.12), rng.uniform(0.05, 0.3), rng.uniform(0, 6.3))
        self._cast = rng.uniform(-0.04, 0.04, 3).astype(np.float32)
        self._blur = float(max(0.0, rng.uniform(-0.6, 0.8)))
        self._noise_level = np.float32(rng.uniform(*self.scenery.noise))
        self._noise_seed = int(rng.integers(2**31))

    def _make_things(self) -> list[Thing]:
        """Three to eight things, some of them groups of touching instances, plus smoke at times."""
        rng = self._rng
        wanted, things = int(rng.integers(*self.scenery.things)), []
        names = [name for name in KINDS if name != "puff"]
        weights = self.scenery.thing_weights
        chances = [weights[name] for name in names] if weights else None
        while len(things) < wanted:
            # two ways of drawing, because they take other numbers from the generator
            drawn = rng.choice(len(names), p=chances) if chances else rng.integers(len(names))
            name = names[int(drawn)]
            first = self._make_thing(name)
            things.append(first)
            if name != "lamp" and rng.random() < self.scenery.group_chance:
                things += self._companions(first, name, min(2, wanted - len(things)))
        # further down in the picture is nearer to the camera
        things.sort(key=lambda thing: thing.centre[1] + thing.size)
        if rng.random() < self.scenery.puff_chance:
            things.append(self._make_thing("puff"))
        return things

    def _make_thing(self, name: str) -> Thing:
        rng, kind, h = self._rng, KINDS[name], HEIGHT_PX
        y = rng.uniform(*kind.band)
        # nearer things look larger
        size = h * float(np.exp(rng.uniform(*np.log(kind.size)))) * (0.75 + 0.4 * y)
        size *= self.scenery.size
        main = rng.uniform(0.05, 0.95, 3)
        main[int(rng.integers(3))] = rng.choice([0.05, 0.95])  # saturated enough to be seen
        second = np.clip(main + rng.choice([-1, 1], 3) * rng.uniform(0.15, 0.6, 3), 0.03, 0.97)
        style = Style(main.astype(np.float32), second.astype(np.float32), float(rng.random()))
        moving = np.array(kind.speed) > 0
        pace = h * self.scenery.speed
        velocity = rng.uniform(0.25, 1, 2) * rng.choice([-1, 1], 2) * np.array(kind.speed) * pace
        return Thing(
            kind=kind,
            label=CLASS_NAMES.index(name) + 1 if name in CLASS_NAMES else 0,
            style=style,
            size=size,
            centre=np.array([rng.uniform(0.08, 0.92) * WIDTH_PX, y * h]),
            velocity=velocity * moving,
            sway=rng.uniform(0, 1, 2) * kind.sway * h,
            rate=rng.uniform(0.1, 0.35, 2),
            phase=rng.uniform(0, 2 * np.pi, 2),
            angle=float(rng.uniform(0, 2 * np.pi)) if kind.spin > 0.03 else 0.0,
            spin=float(rng.uniform(-1, 1) * kind.spin),
            pulse=float(rng.uniform(0, kind.pulse)),
            grain=value_noise(rng, 64, 64, 5, 3) - np.float32(0.5),
            shade=rng.uniform(-0.22, 0.22, 2).astype(np.float32),
        )

    def _companions(self, first: Thing, name: str, count: int) -> list[Thing]:
        """Instances of the same class that move with `first` and touch it."""
        companions: list[Thing] = []
        for side in (-1.0, 1.0)[:count]:
            other = self._make_thing(name)
            other.size = first.size * float(self._rng.uniform(0.85, 1.1))
            reach = 0.62 * first.kind.extent * (first.size + other.size)
            other.centre = first.centre + np.array([side * reach, 0.1 * other.size])
            other.velocity, other.sway = first.velocity, first.sway
            other.rate, other.phase = first.rate, first.phase
            companions.append(other)
        return companions

    def frame(self, t: int) -> Frame:
        """Render the frame at time `t` (any integer; the clip is 0..num_frames - 1)."""
        pan = self._pan_velocity * (t - self.num_frames / 2)
        pan = pan + self._pan_sway * np.sin(self._pan_rate * t)
        pan = np.clip(pan, 1 - _MARGIN_PX, _MARGIN_PX - 1)
        x0, y0 = round(_MARGIN_PX + pan[0]), round(_MARGIN_PX + pan[1])
        view = np.s_[y0 : y0 + HEIGHT_PX, x0 : x0 + WIDTH_PX]
        image, regions = self._canvas[view].copy(), self._layers[view].copy()
        rim = np.zeros(regions.shape, np.bool_)
        for index, thing in enumerate(self._things):
            self._draw(image, regions, rim, thing, len(self._layer_labels) + index, t, pan)
        labels = self.region_labels[regions]
        labels[rim] = AMBIGUOUS
        return Frame(self._expose(image, t), regions, labels)

    def _draw(
        self,
        image: Image,
        regions: NDArray[np.uint8],
        rim: NDArray[np.bool_],
        thing: Thing,
        region: int,
        t: int,
        pan: NDArray[np.float64],
    ) -> None:
        """Blend one thing into the frame, antialiased; the region map takes alpha >= 1/2."""
        h, w = regions.shape
        cx, cy, size, angle = thing.pose(t, pan, (w, h))
        reach = size * thing.kind.extent * 1.3 + 2
        xs = np.arange(max(0, int(cx - reach)), min(w, int(cx + reach) + 1), dtype=np.float32)
        ys = np.arange(max(0, int(cy - reach)), min(h, int(cy + reach) + 1), dtype=np.float32)
        if not (len(xs) and len(ys)):
            return
        dx, dy = (xs - np.float32(cx))[None] / size, (ys - np.float32(cy))[:, None] / size
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        swing = float(np.sin(3 * thing.rate[0] * t + thing.phase[0]))
        colour, distance = paint(thing.kind, u, v, thing.style, swing)
        grain = thing.grain[
            np.clip((v + 1.5) * 21, 0, 63).astype(np.intp),
            np.clip((u + 1.5) * 21, 0, 63).astype(np.intp),
        ]
        shade = 1 + thing.shade[0] * u + thing.shade[1] * v + 0.35 * grain
        if self.scenery.thing_light is not None:
            colour = colour * np.array(self.scenery.thing_light, np.float32)
        softness = np.float32(3.0 if thing.label == 0 else 1.0)
        alpha = np.clip(0.5 - distance * np.float32(size) / softness, 0, 1)
        window = np.s_[int(ys[0]) : int(ys[-1]) + 1, int(xs[0]) : int(xs[-1]) + 1]
        patch = image[window]
        patch += (colour * shade[..., None] - patch) * alpha[..., None]
        covered = alpha >= 0.5
        regions[window][covered] = region
        rim[window] = np.where(
            thing.label == 0, rim[window] | ((alpha > 0.1) & (alpha < 0.9)), rim[window] & ~covered
        )

    def _expose(self, image: Image, t: int) -> NDArray[np.uint8]:
        """Light drift, colour cast, blur and sensor noise."""
        strength, rate, phase = self._light
        image = image * (1 + strength * np.sin(rate * t + phase) + self._cast * np.sin(0.1 * t))
        if self._blur > 0:
            side = np.float32(self._blur / (1 + 2 * self._blur))
            for axis in (0, 1):
                neighbours = np.roll(image, 1, axis) + np.roll(image, -1, axis)
                image = image * (1 - 2 * side) + neighbours * side
        noise = np.random.default_rng([self._noise_seed, t])
        image = image + self._noise_level * noise.standard_normal(image.shape, dtype=np.float32)
        return (np.clip(image, 0, 1) * 255).astype(np.uint8)
