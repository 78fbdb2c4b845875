"""The mask decoder's upscaling, with the image kept as pixels by channels.

A transposed convolution whose kernel is its stride is a linear map of each pixel, so the image
never has to be transposed, and only the masks that are used are put into image order.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames


class Upscaler:
    """`output_upscaling` of a sam2 `MaskDecoder` for any number of prompts on one frame."""

    def __init__(self, decoder: Any, features: EncodedFrames) -> None:
        first, self._norm, self._act1, second, self._act2 = decoder.output_upscaling
        fine = decoder.use_high_res_features
        self._first = _Unfold(first, _pixels_of(features.s8, 1) if fine else None)
        self._second = _Unfold(second, _pixels_of(features.s4, 2) if fine else None)

    def __call__(self, image: Tensor) -> Tensor:
        """(n, p, C) to (n, 16 p, C/8): four by four sub-pixels, a quarter's quarter innermost."""
        x, norm = self._first(image), self._norm
        x = self._act1(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
        return self._act2(self._second(x))


class _Unfold:
    """A 2 x 2 transposed convolution of (n, q, C) pixels to (n, 4 q, C'), and what is added."""

    def __init__(self, layer: Any, added: Tensor | None) -> None:
        self._weight = layer.weight.permute(0, 2, 3, 1).flatten(1)  # (C, 4 C')
        self._base = layer.bias.repeat(4)
        if added is not None:  # (1, 4 q, C')
            self._base = self._base + added.unflatten(1, (-1, 4)).flatten(2)

    def __call__(self, x: Tensor) -> Tensor:
        unfolded = torch.baddbmm(self._base, x, self._weight.expand(len(x), -1, -1))
        return unfolded.unflatten(2, (4, -1)).flatten(1, 2)


def image_order(masks: Tensor) -> Tensor:
    """(n, 16 p) in the order of an `Upscaler`'s pixels to (n, 1, 4 h, 4 w), where h = w."""
    n, side = len(masks), int((masks.shape[1] // 16) ** 0.5)
    split = masks.view(n, side, side, 2, 2, 2, 2)  # h, w, y1, x1, y2, x2
    return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(n, 1, 4 * side, 4 * side)


def _pixels_of(x: Tensor, levels: int) -> Tensor:
    """(1, C, H, W) to (1, H * W, C), sub-pixels of the coarsest grid innermost, as `_Unfold`."""
    _, channels, height, width = x.shape
    h, w, two = height >> levels, width >> levels, [2] * levels
    # C, h, y1, (y2,) w, x1, (x2) -> h, w, y1, x1, (y2, x2,) C
    split = x.reshape(channels, h, *two, w, *two)
    inner = [axis for i in range(levels) for axis in (2 + i, 3 + levels + i)]
    return split.permute(1, 2 + levels, *inner, 0).reshape(1, -1, channels)
