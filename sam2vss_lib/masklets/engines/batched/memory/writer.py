"""The stock memory encoder, for many objects on one frame."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.running import as_it_is

_WIDE = 16  # channels from which on it pays to have them innermost in memory


class MemoryWriter:
    """The stock memory encoder for many objects on one frame."""

    def __init__(self, predictor: Any, compiles: Callable[..., Any] = as_it_is) -> None:
        self._predictor, self._write = predictor, compiles(self._written)
        *stages, self._last = predictor.memory_encoder.mask_downsampler.encoder
        with torch.inference_mode():
            self._stages = [
                (_centred(conv), norm, act)
                for conv, norm, act in zip(stages[::3], stages[1::3], stages[2::3], strict=True)
            ]

    def write(self, s16: Tensor, masks: Tensor, present: Tensor, *, given: bool) -> Tensor:
        """Memories (n, p, M) bfloat16 of masks on a frame, whose features are (1, C, h, w).

        Masks are (n, 1, S/4, S/4) logits, `given` or predicted, of objects that are present or not,
        (n, 1).
        """
        return self._write(s16, masks, present, given)

    def _written(self, s16: Tensor, masks: Tensor, present: Tensor, given: bool) -> Tensor:
        predictor, encoder = self._predictor, self._predictor.memory_encoder
        size = (predictor.image_size, predictor.image_size)
        x = F.interpolate(masks, size=size, mode="bilinear", align_corners=False)
        binary = given and predictor.binarize_mask_from_pts_for_mem_enc
        x = (x > 0).float() if binary else x.sigmoid_()
        x = x.mul_(predictor.sigmoid_scale_for_mem_enc).add_(predictor.sigmoid_bias_for_mem_enc)
        x = self._downsample(x) + _pointwise(encoder.pix_feat_proj, s16)
        x = encoder.fuser.proj(x)
        for block in encoder.fuser.layers:
            x = _cx_block(block, x)
        x = _pointwise(encoder.out_proj, x).flatten(2).transpose(1, 2)
        if predictor.no_obj_embed_spatial is not None:
            x = x + (1 - present.float())[..., None] * predictor.no_obj_embed_spatial
        return x.to(torch.bfloat16)

    def _downsample(self, x: Tensor) -> Tensor:
        """The stock `MaskDownSampler`: (n, 1, S, S) to (n, C, S/16, S/16), channels innermost."""
        for (weight, bias, conv), norm, act in self._stages:
            if conv.in_channels >= _WIDE:
                x = x.contiguous(memory_format=torch.channels_last)
            x = F.conv2d(x, weight, bias, conv.stride, conv.padding)
            x = act(_norm_centred(norm, x))
        return _pointwise(self._last, x)


def _pointwise(layer: Any, x: Tensor) -> Tensor:
    """A 1 x 1 convolution, or no layer at all, of (n, C, H, W)."""
    if not isinstance(layer, torch.nn.Conv2d):
        return layer(x)
    y = F.linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias)
    return y.permute(0, 3, 1, 2)


def _centred(conv: Any) -> tuple[Tensor, Tensor, Any]:
    """A convolution's weight and bias, made so that outputs have mean 0 over the channels.

    The norm that follows subtracts this mean, which is as linear as the convolution.
    """
    return conv.weight - conv.weight.mean(0), conv.bias - conv.bias.mean(), conv


def _norm_centred(norm: Any, x: Tensor) -> Tensor:
    """sam2's `LayerNorm2d` of (n, C, H, W) whose mean over the channels is 0."""
    if x.is_contiguous(memory_format=torch.channels_last) and x.shape[1] >= _WIDE:
        return _norm_innermost(norm, x)
    x = x.float()
    scale = (x * x).mean(1, keepdim=True).add_(norm.eps).rsqrt_()
    return torch.addcmul(norm.bias[:, None, None], x.mul_(scale), norm.weight[:, None, None])


def _norm_innermost(norm: Any, x: Tensor) -> Tensor:
    """sam2's `LayerNorm2d` of (n, C, H, W) with channels innermost in memory."""
    y = x.permute(0, 2, 3, 1)
    y = F.layer_norm(y, y.shape[-1:], norm.weight, norm.bias, norm.eps)
    return y.permute(0, 3, 1, 2)


def _cx_block(block: Any, x: Tensor) -> Tensor:
    """sam2's `CXBlock` of (n, C, h, w) with channels innermost in memory."""
    x = x.contiguous(memory_format=torch.channels_last)
    y = _norm_innermost(block.norm, block.dwconv(x)).permute(0, 2, 3, 1)
    y = block.pwconv2(block.act(block.pwconv1(y)))
    if block.gamma is not None:
        y = y * block.gamma
    return x + y.permute(0, 3, 1, 2)
