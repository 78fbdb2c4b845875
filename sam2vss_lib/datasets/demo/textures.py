"""Procedural surfaces of the generated world: value noise and one painter per stuff class."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating[Any]]  # (H, W, 3) in 0..1, or (H, W)
Painter = Callable[[np.random.Generator, int, int], Image]  # of height and width: (H, W, 3) float32


def value_noise(
    rng: np.random.Generator, height: int, width: int, cells: int, octaves: int = 4
) -> Image:
    """Fractal value noise in 0..1: bilinear grids of random values, halving in size and strength.

    The first of the `octaves` has so many cells along each side; all are (height, width) float32.
    """
    total = np.zeros((height, width), np.float32)
    weight_sum, weight = 0.0, 1.0
    for octave in range(octaves):
        n = cells * 2**octave
        grid = rng.random((n + 1, n + 1), dtype=np.float32)
        y = np.linspace(0, n, height, endpoint=False, dtype=np.float32)
        x = np.linspace(0, n, width, endpoint=False, dtype=np.float32)
        y0, x0 = y.astype(np.intp), x.astype(np.intp)
        fy, fx = (y - y0)[:, None], (x - x0)[None]
        rows = grid[y0] * (1 - fy) + grid[y0 + 1] * fy  # (height, n + 1)
        total += weight * (rows[:, x0] * (1 - fx) + rows[:, x0 + 1] * fx)
        weight_sum += weight
        weight *= 0.55
    return total / np.float32(weight_sum)


def mix(low: Image, high: Image, amount: Image) -> Image:
    """Blend two colours (3,) by `amount` (H, W)."""
    return low + (high - low) * amount[..., None]


def near_colour(rng: np.random.Generator, rgb: tuple[float, float, float], spread: float) -> Image:
    """A colour near `rgb`."""
    jitter = rng.normal(0, spread, 3) + rng.normal(0, spread)
    return np.clip(np.array(rgb) + jitter, 0.03, 0.97).astype(np.float32)


def _sky(rng: np.random.Generator, h: int, w: int) -> Image:
    top = near_colour(rng, (0.35, 0.55, 0.85), 0.06)
    horizon = near_colour(rng, (0.78, 0.86, 0.93), 0.05)
    fall = np.linspace(0, 1, h, dtype=np.float32)[:, None].repeat(w, 1)
    clouds = np.clip((value_noise(rng, h, w, 3) - 0.55) * 4, 0, 1) * np.float32(rng.uniform(0, 0.6))
    return mix(mix(top, horizon, fall), np.array([0.95, 0.95, 0.97], np.float32), clouds)


def _hill(rng: np.random.Generator, h: int, w: int) -> Image:
    dark = near_colour(rng, (0.42, 0.36, 0.42), 0.06)
    light = near_colour(rng, (0.62, 0.55, 0.56), 0.06)
    return mix(dark, light, np.clip((value_noise(rng, h, w, 5) - 0.5) * 2.2 + 0.5, 0, 1))


def _forest(rng: np.random.Generator, h: int, w: int) -> Image:
    dark = near_colour(rng, (0.07, 0.20, 0.10), 0.03)
    light = near_colour(rng, (0.22, 0.42, 0.18), 0.05)
    return mix(dark, light, np.clip((value_noise(rng, h, w, 24, 3) - 0.5) * 2.5 + 0.5, 0, 1))


def _water(rng: np.random.Generator, h: int, w: int) -> Image:
    deep = near_colour(rng, (0.10, 0.33, 0.48), 0.05)
    crest = near_colour(rng, (0.38, 0.62, 0.70), 0.05)
    rows = np.arange(h, dtype=np.float32)[:, None]
    phase = rows * np.float32(2 * np.pi / rng.uniform(7, 14)) + 9 * value_noise(rng, h, w, 4, 3)
    return mix(deep, crest, 0.5 + 0.5 * np.sin(phase))


def _meadow(rng: np.random.Generator, h: int, w: int) -> Image:
    dark = near_colour(rng, (0.38, 0.55, 0.20), 0.06)
    light = near_colour(rng, (0.66, 0.74, 0.34), 0.06)
    grain = 0.5 * value_noise(rng, h, w, 6) + 0.5 * rng.random((h, w), dtype=np.float32)
    return mix(dark, light, grain)


#: per stuff class in order from top
STUFF: dict[str, Painter] = {
    "sky": _sky,
    "hill": _hill,
    "forest": _forest,
    "water": _water,
    "meadow": _meadow,
}
