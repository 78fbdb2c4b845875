"""The second generated world: the same classes at frosty dusk, nearer, faster, in other numbers.

Models trained on the first world meet surfaces, light, motion and frequencies they have not seen.
"""

import numpy as np

from sam2vss_lib.datasets.demo.scenery import Scenery
from sam2vss_lib.datasets.demo.textures import Image, mix, near_colour, value_noise


def _sky(rng: np.random.Generator, h: int, w: int) -> Image:
    """Dusk above the horizon, stars above the dusk."""
    top = near_colour(rng, (0.17, 0.27, 0.55), 0.03)
    horizon = near_colour(rng, (0.76, 0.66, 0.74), 0.04)
    fall = np.linspace(0, 1, h, dtype=np.float32)[:, None].repeat(w, 1)
    stars = (rng.random((h, w), dtype=np.float32) > 0.996) * (1 - fall)
    return mix(mix(top, horizon, fall**2), np.array([0.95, 0.95, 0.85], np.float32), stars)


def _hill(rng: np.random.Generator, h: int, w: int) -> Image:
    """Layered rock with snow on its ledges."""
    rock = near_colour(rng, (0.29, 0.25, 0.31), 0.03)
    snow = near_colour(rng, (0.62, 0.57, 0.64), 0.04)
    rows = np.arange(h, dtype=np.float32)[:, None] / np.float32(rng.uniform(14, 24))
    ledges = (rows + 3 * value_noise(rng, h, w, 4)) % 1
    return mix(rock, snow, np.clip(3 * ledges - 1.6, 0, 1))


def _forest(rng: np.random.Generator, h: int, w: int) -> Image:
    """Upright trunks in the dark."""
    dark = near_colour(rng, (0.03, 0.10, 0.11), 0.02)
    light = near_colour(rng, (0.16, 0.30, 0.27), 0.03)
    columns = np.arange(w, dtype=np.float32)[None] / np.float32(rng.uniform(5, 9))
    trunks = 0.5 + 0.5 * np.sin(columns * 2 * np.pi + 5 * value_noise(rng, h, w, 6, 2))
    return mix(dark, light, trunks * (0.4 + 0.6 * value_noise(rng, h, w, 16, 2)))


def _water(rng: np.random.Generator, h: int, w: int) -> Image:
    """Dark water with oblique glints."""
    deep = near_colour(rng, (0.06, 0.22, 0.36), 0.03)
    glint = near_colour(rng, (0.36, 0.55, 0.66), 0.04)
    y, x = np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)[None]
    slope, period = np.float32(rng.uniform(-0.5, 0.5)), np.float32(rng.uniform(8, 15))
    waves = np.sin(
        (y + slope * x) * np.float32(2 * np.pi) / period + 11 * value_noise(rng, h, w, 5, 3)
    )
    return mix(deep, glint, np.clip(1.6 * waves - 0.7, 0, 1))


def _meadow(rng: np.random.Generator, h: int, w: int) -> Image:
    """Frosted grass in wide patches, with dark tufts."""
    shadow = near_colour(rng, (0.40, 0.50, 0.38), 0.03)
    frost = near_colour(rng, (0.70, 0.77, 0.62), 0.04)
    drifts = mix(shadow, frost, np.clip((value_noise(rng, h, w, 3, 2) - 0.5) * 2 + 0.5, 0, 1))
    tufts = np.clip((value_noise(rng, h, w, 40, 2) - 0.62) * 6, 0, 1)
    return mix(drifts, near_colour(rng, (0.26, 0.33, 0.18), 0.03), tufts)


NIGHT = Scenery(
    stuff=(_sky, _hill, _forest, _water, _meadow),
    stuff_weights=(0.14, 0.26, 0.20, 0.26, 0.14),
    sky_chance=0.6,
    thing_weights={
        "balloon": 0.04,
        "ball": 0.12,
        "crate": 0.06,
        "car": 0.30,
        "person": 0.26,
        "kite": 0.04,
        "lamp": 0.18,
    },
    things=(4, 10),
    group_chance=0.4,
    puff_chance=0.2,
    size=1.15,
    speed=1.8,
    thing_light=(0.72, 0.74, 0.95),
    pan_px=2.2,
    noise=(0.008, 0.035),
)
"""A frosty dusk: stars, snow on the hills, and traffic."""
