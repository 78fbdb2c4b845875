"""The mean of an encoder's features under a mask (Eq. 3), on one frame or over a window.

Masks are finer than feature maps: with SAM2 one cell covers about 8 x 13 px of a 480 x 853 frame.
Masks are therefore brought to the map by area, which is the same as giving every pixel the features
of the cell it lies in and taking the mean over the mask's pixels. A mask of a single pixel counts.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from sam2vss_lib.errors import SettingsError

_MASKS_AT_ONCE = 32  # as float32 they take four times the room of the bools


class Pooled(NamedTuple):
    """Pooled features of n masks."""

    mean: Tensor  # (n, D) float32; zeros where the mask is empty
    weight: Tensor  # (n,) int64, the mask's pixels


def pool_features(features: Tensor, masks: Tensor) -> Pooled:
    """Mean of the features under each mask (Eq. 3).

    Args:
        features: (D, h, w) floating point; the map covers the whole frame, whatever its size.
        masks: (n, H, W) bool at the frame's size, on the device of `features`; n may be 0.

    Returns:
        Means (n, D) float32 and weights (n,) int64, the masks' pixels.

    Raises:
        SettingsError: a tensor has another shape or dtype.
    """
    pool = MaskletPool()
    pool.add(features, masks)
    return pool.result()


class MaskletPool:
    """The mean under each masklet over all its pixels in a window, one frame at a time (Eq. 3).

    Example:
        >>> pool, mask = MaskletPool(), torch.ones(1, 2, 2, dtype=torch.bool)
        >>> for value in (1.0, 3.0):
        ...     pool.add(torch.full((1, 1, 1), value), mask)
        >>> pool.result().mean.tolist()
        [[2.0]]
    """

    def __init__(self) -> None:
        self._sums: tuple[Tensor, Tensor] | None = None

    def add(self, features: Tensor, masks: Tensor) -> None:
        """Take in a frame's features and masks, as for `pool_features`.

        The same n masklets are on every frame, empty where they are hidden.

        Raises:
            SettingsError: a tensor has another shape or dtype, or differs from earlier frames'.
        """
        _check(features, masks)
        self._add(_sums(features, masks))

    def add_means(self, means: Tensor, masks: Tensor) -> None:
        """Take in what an encoder says of a frame's masks themselves.

        Args:
            means: (n, D) floating point, one row a mask.
            masks: as for `add`; a row counts by its mask's pixels.

        Raises:
            SettingsError: a tensor has another shape than earlier frames'.
        """
        weight = masks.sum((1, 2))
        self._add((means.float() * weight[:, None], weight))

    def _add(self, added: tuple[Tensor, Tensor]) -> None:
        if self._sums is None:
            self._sums = added
            return
        if added[0].shape != self._sums[0].shape:
            raise SettingsError(
                f"masklets x features are {tuple(added[0].shape)}, but were "
                f"{tuple(self._sums[0].shape)} on earlier frames; use one pool per window"
            )
        self._sums = (self._sums[0] + added[0], self._sums[1] + added[1])

    def result(self) -> Pooled:
        """Means over everything taken in so far.

        Raises:
            SettingsError: nothing was.
        """
        if self._sums is None:
            raise SettingsError("no frame was pooled: add at least one")
        total, weight = self._sums
        return Pooled(total / weight.clamp(min=1)[:, None], weight)


def _check(features: Tensor, masks: Tensor) -> None:
    if features.ndim != 3 or not features.is_floating_point() or 0 in features.shape:
        raise SettingsError(
            f"features are {features.dtype} {tuple(features.shape)}, not floating (D, h, w)"
        )
    if masks.ndim != 3 or masks.dtype != torch.bool or 0 in masks.shape[1:]:
        raise SettingsError(f"masks are {masks.dtype} {tuple(masks.shape)}, not bool (n, H, W)")
    if masks.device != features.device:
        raise SettingsError(f"masks are on {masks.device}, features on {features.device}")


def _sums(features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """(n, D) sums of features over each mask's pixels, and (n,) numbers of those pixels."""
    flat = features.float().flatten(1).T  # (h * w, D)
    rows = _overlaps(masks.shape[1], features.shape[1]).to(features.device)
    columns = _overlaps(masks.shape[2], features.shape[2]).to(features.device)
    parts = [
        (rows @ part.float() @ columns.T).flatten(1) @ flat for part in masks.split(_MASKS_AT_ONCE)
    ]
    return torch.cat(parts), masks.sum((1, 2))


@lru_cache(maxsize=16)
def _overlaps(pixels: int, cells: int) -> Tensor:
    """(cells, pixels) float32: length of each pixel that lies in each cell of an axis.

    Cells divide the axis evenly, so a pixel may lie in several; its parts add up to 1.
    """
    edges = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
    pixel = torch.arange(pixels, dtype=torch.float64)
    low = torch.maximum(edges[:-1, None], pixel)
    high = torch.minimum(edges[1:, None], pixel + 1)
    return (high - low).clamp(min=0).float()
