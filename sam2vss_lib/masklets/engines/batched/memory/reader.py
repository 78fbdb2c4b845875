"""The stock memory attention, for many objects on one frame."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.memory.attention import (
    attend,
    fit_rotary_codes,
    in_blocks,
    rotate,
)
from sam2vss_lib.masklets.engines.batched.memory.memories import Memories, Reach
from sam2vss_lib.masklets.engines.batched.running import as_it_is


class _Tokens(NamedTuple):
    """What a frame looks back at."""

    values: Tensor  # (n, m, M)
    keys: Tensor  # (n, m, M) values with codes of place and time
    pixels: int  # how many of them, the first ones, are of maps


class MemoryReader:
    """The stock memory attention for many objects on one frame; `reach` says what is read."""

    def __init__(
        self, predictor: Any, reach: Reach, compiles: Callable[..., Any] = as_it_is
    ) -> None:
        self._predictor, self._reach, self._see = predictor, reach, compiles(self._seen)
        side, device = predictor.sam_image_embedding_size, predictor.device
        for layer in predictor.memory_attention.layers:
            for attention in (layer.self_attn, layer.cross_attn_image):
                fit_rotary_codes(attention, side, device)
        with torch.inference_mode():
            square = torch.empty((1, 1, side, side), device=device)
            neck = predictor.image_encoder.neck.position_encoding
            self._codes = neck(square).flatten(2).transpose(1, 2)  # (1, p, C)
            maps = predictor.memory_encoder.position_encoding(square)
            self._map_codes = maps.flatten(2).transpose(1, 2)  # (1, p, M)

    def read(self, frame: int, s16: Tensor, memories: Memories, age_units: Tensor) -> Tensor:
        """Features (n, p, C) of a frame, itself (1, C, h, w), seen through n objects' memories.

        The frame's index in the window is at least 1. Ages of pointers are divided by the age
        units, (n,) float32 frames.
        """
        return self._see(s16, *self._tokens(frame, memories, age_units))

    def _seen(self, s16: Tensor, values: Tensor, keys: Tensor, pixels: int) -> Tensor:
        """The layers on (1, C, h, w) and what it looks back at, see `_Tokens`."""
        attention, past = self._predictor.memory_attention, _Tokens(values, keys, pixels)
        x = s16.flatten(2).transpose(1, 2)
        if attention.pos_enc_at_input:
            x = x + 0.1 * self._codes
        # the first layer's self-attention is the same for all objects
        for layer in attention.layers:
            x = self._look_around(layer, x)
            x = self._look_back(layer, x, past)
            hidden = layer.activation(layer.linear1(layer.norm3(x)))
            x = x + layer.linear2(hidden)
        return attention.norm(x)

    def _look_around(self, layer: Any, x: Tensor) -> Tensor:
        attention, y = layer.self_attn, layer.norm1(x)
        coded = y + self._codes if layer.pos_enc_at_attn else y
        q = rotate(attention, attention.q_proj(coded), x.shape[1])
        k = rotate(attention, attention.k_proj(coded), x.shape[1])
        return x + attend(attention, q, k, y)

    def _look_back(self, layer: Any, x: Tensor, past: _Tokens) -> Tensor:
        attention, y = layer.cross_attn_image, layer.norm2(x)
        coded = y + self._codes if layer.pos_enc_at_cross_attn_queries else y
        q = rotate(attention, attention.q_proj(coded), x.shape[1])
        k = attention.k_proj(past.keys if layer.pos_enc_at_cross_attn_keys else past.values)
        return x + attend(attention, q, rotate(attention, k, past.pixels), past.values)

    def _tokens(self, frame: int, memories: Memories, age_units: Tensor) -> _Tokens:
        """All memories that a frame reads: the first frame's map, later ones, pointers."""
        predictor, n = self._predictor, len(age_units)
        frames = self._reach.map_frames(frame)
        # a list of indices would be copied to the device, which waits for all that is under way
        times = [predictor.maskmem_tpos_enc[index] for _, index in frames]
        times = torch.stack(times).flatten(1, 2)
        codes = (self._map_codes + times).flatten(0, 1).expand(n, -1, -1)  # (n, k p, M)
        tokens = [memories.maps[t] for t, _ in frames]
        pixels = codes.shape[1]
        if predictor.use_obj_ptrs_in_encoder:
            past = self._reach.pointer_frames(frame)
            pointers = torch.stack([memories.pointers[t] for t in past], 1)  # (n, f, C)
            split = pointers.shape[2] // predictor.mem_dim
            tokens.append(pointers.reshape(n, -1, predictor.mem_dim))
            ages = torch.tensor([float(frame - t) for t in past])
            ages = ages.to(age_units.device, non_blocking=True)
            ages = self._time_codes(ages / age_units[:, None])
            codes = torch.cat([codes, ages.repeat_interleave(split, 1)], 1)
        values = torch.cat(tokens, 1)
        return _Tokens(values, values + codes, pixels)

    def _time_codes(self, ages: Tensor) -> Tensor:
        """(n, f) ages to (n, f, M) codes of time."""
        predictor = self._predictor
        if not predictor.add_tpos_enc_to_obj_ptrs:
            return ages.new_zeros(*ages.shape, predictor.mem_dim)
        projected = predictor.proj_tpos_enc_in_obj_ptrs
        size = predictor.hidden_dim if projected else predictor.mem_dim
        return in_blocks(predictor.obj_ptr_tpos_proj, get_1d_sine_pe(ages, dim=size))
