"""How well a pixel's colour suits a class, and how well the masklet that it lies under."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import Labels

_SIDE = 8  # bins of each of red, green and blue
BINS = _SIDE**3
_BLUR_BINS = 0.7
_FARTHEST = 6.0  # log-ratio, either way: what is that improbable is not seen well enough
_STEP_PX = 2  # every so many rows and columns are counted


def colour_bins(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The bin of each of some pixels, (..., 3) RGB to (...)."""
    red, green, blue = np.moveaxis(pixels >> 5, -1, 0).astype(np.intp)
    return (red * _SIDE + green) * _SIDE + blue


class ColourModels:
    """Colours of classes and of masklets in a window, from pixels on which base and vote agree."""

    def __init__(self, num_classes: int, num_masklets: int) -> None:
        self._counts = [np.zeros((n, BINS)) for n in (num_classes, num_masklets)]

    def add(
        self,
        frame: NDArray[np.uint8],
        agreed: NDArray[np.bool_],
        labels: Labels,
        top: NDArray[np.int32],
    ) -> None:
        """Count a frame, (H, W, 3), where the labels, (H, W), are agreed upon.

        `top` are the masklets on top, (H, W) indices.
        """
        some = np.s_[::_STEP_PX, ::_STEP_PX]
        counted = np.flatnonzero(agreed[some])
        bins = colour_bins(frame[some].reshape(-1, 3).take(counted, 0))
        for counts, owner in zip(self._counts, (labels, top), strict=True):
            place = owner[some].take(counted) * np.intp(BINS) + bins
            counts += np.bincount(place, minlength=counts.size).reshape(counts.shape)

    def log_ratio(
        self, base: Labels, masklet: NDArray[np.int32], bins: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Log-likelihood of each of k colours under its class, minus that under its masklet."""
        of_class, of_masklet = self._log_shares
        ratio = of_class.take(base * np.intp(BINS) + bins)
        ratio -= of_masklet.take(masklet * np.intp(BINS) + bins)
        return np.clip(ratio, -_FARTHEST, _FARTHEST)

    @cached_property
    def _log_shares(self) -> list[NDArray[np.float32]]:
        """Of classes and masklets, asked for once all is counted."""
        return [_log_shares(counts) for counts in self._counts]


def _log_shares(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Blurred histograms as log-densities over the bins."""
    offsets = np.arange(-2, 3)
    kernel = np.exp(-0.5 * (offsets / _BLUR_BINS) ** 2)
    blur = np.zeros((_SIDE, _SIDE))
    for offset, weight in zip(offsets.tolist(), kernel / kernel.sum(), strict=True):
        blur += np.diag(np.full(_SIDE - abs(offset), weight), offset)
    cube = counts.reshape(-1, _SIDE, _SIDE, _SIDE)
    blurred = np.einsum("nrgb,Rr,Gg,Bb->nRGB", cube, blur, blur, blur, optimize=True)
    density = (blurred.reshape(counts.shape) + 1e-3) / (counts.sum(1, keepdims=True) + 1)
    return np.log(density).astype(np.float32)
