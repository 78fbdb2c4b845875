"""The stock memory attention, for many objects on one frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.engines.batched.memory.attention import (
    attend,
    fit_rotary_codes,
    in_blocks,
    pooled_rotary_codes,
    pooled_tokens,
    rotate,
)
from sam2vss_lib.masklets.engines.batched.memory.memories import Memories, Reach


class _Tokens(NamedTuple):
    """What a frame looks back at."""

    values: Tensor  # (n, m, M)
    keys: Tensor  # (n, m, M) values with codes of place and time
    whole: int  # how many of them, the first ones, are pixels
    pooled: int  # how many of the next are squares of pixels
    counts: Tensor | None  # (m,) pixels that each stands for; None for one each


class MemoryReader:
    """The stock memory attention for many objects on one frame.

    Args:
        predictor: a sam2 `SAM2Base`.
        reach: which memories are read.
        pool: side of the squares of pixels that all maps but the first frame's are averaged over.

    Raises:
        SettingsError: the squares do not fit the maps.
    """

    def __init__(self, predictor: Any, reach: Reach, pool: int = 1) -> None:
        self._predictor, self._reach, self._pool = predictor, reach, pool
        self._side = predictor.sam_image_embedding_size
        if self._side % pool:
            raise SettingsError(f"memory_pool: {pool} does not divide {self._side}")
        device = predictor.device
        for layer in predictor.memory_attention.layers:
            for attention in (layer.self_attn, layer.cross_attn_image):
                fit_rotary_codes(attention, self._side, device)
        with torch.inference_mode():
            shape = (1, 1, self._side, self._side)
            square = torch.empty(shape, device=device)
            neck = predictor.image_encoder.neck.position_encoding
            self._codes = neck(square).flatten(2).transpose(1, 2)  # (1, p, C)
            maps = predictor.memory_encoder.position_encoding(square)
            self._map_codes = maps.flatten(2).transpose(1, 2)  # (1, p, M)
            self._pooled_codes = pooled_tokens(self._map_codes, pool)
            self._pooled_rotary_codes = [
                pooled_rotary_codes(layer.cross_attn_image, pool)
                for layer in predictor.memory_attention.layers
            ]

    def pooled(self, maps: Tensor) -> Tensor:
        """A later frame's (n, p, M) maps as they are to be kept."""
        return maps if self._pool == 1 else pooled_tokens(maps.float(), self._pool).to(maps.dtype)

    def read(self, frame: int, s16: Tensor, memories: Memories, spans: Tensor) -> Tensor:
        """Features of a frame seen through each object's memories.

        Args:
            frame: index in the window, at least 1.
            s16: (1, C, h, w) the frame's features.
            memories: of n objects.
            spans: (n,) float32, the number of frames by which times of pointers are divided.

        Returns:
            (n, p, C).
        """
        attention = self._predictor.memory_attention
        past = self._tokens(frame, memories, spans)
        x = s16.flatten(2).transpose(1, 2)
        if attention.pos_enc_at_input:
            x = x + 0.1 * self._codes
        # the first layer's self-attention is the same for all objects
        for layer, codes in zip(attention.layers, self._pooled_rotary_codes, strict=True):
            x = self._look_around(layer, x)
            x = self._look_back(layer, x, past, codes)
            hidden = layer.activation(layer.linear1(layer.norm3(x)))
            x = x + layer.linear2(hidden)
        return attention.norm(x)

    def _look_around(self, layer: Any, x: Tensor) -> Tensor:
        attention, y = layer.self_attn, layer.norm1(x)
        coded = y + self._codes if layer.pos_enc_at_attn else y
        q = rotate(attention, attention.q_proj(coded), x.shape[1])
        k = rotate(attention, attention.k_proj(coded), x.shape[1])
        return x + attend(attention, q, k, y)

    def _look_back(self, layer: Any, x: Tensor, past: _Tokens, codes: Tensor | None) -> Tensor:
        attention, y = layer.cross_attn_image, layer.norm2(x)
        coded = y + self._codes if layer.pos_enc_at_cross_attn_queries else y
        q = rotate(attention, attention.q_proj(coded), x.shape[1])
        k = attention.k_proj(past.keys if layer.pos_enc_at_cross_attn_keys else past.values)
        k = rotate(attention, k, past.whole)
        k = rotate(attention, k, past.pooled, start=past.whole, codes=codes)
        return x + attend(attention, q, k, past.values, past.counts)

    def _tokens(self, frame: int, memories: Memories, spans: Tensor) -> _Tokens:
        """All memories that a frame reads: the first frame's map, later ones, pointers."""
        predictor, n = self._predictor, len(spans)
        frames = self._reach.map_frames(frame)
        times = predictor.maskmem_tpos_enc[[index for _, index in frames]].flatten(1, 2)
        first = self._map_codes + times[:1]
        later = (self._pooled_codes + times[1:]).flatten(0, 1)[None]  # (1, (k - 1) p', M)
        codes = torch.cat([first, later], 1).expand(n, -1, -1)
        tokens = [memories.maps[t] for t, _ in frames]
        pixels, pooled = codes.shape[1], later.shape[1] if self._pool > 1 else 0
        if predictor.use_obj_ptrs_in_encoder:
            past = self._reach.pointer_frames(frame)
            pointers = torch.stack([memories.pointers[t] for t in past], 1)  # (n, f, C)
            split = pointers.shape[2] // predictor.mem_dim
            tokens.append(pointers.reshape(n, -1, predictor.mem_dim))
            ages = torch.tensor([frame - t for t in past], dtype=torch.float32, device=spans.device)
            ages = self._time_codes(ages / spans[:, None])
            codes = torch.cat([codes, ages.repeat_interleave(split, 1)], 1)
        values, counts = torch.cat(tokens, 1), None
        if pooled:
            counts = torch.ones(codes.shape[1], device=codes.device)
            counts[pixels - pooled : pixels] = self._pool**2
        return _Tokens(values, values + codes, pixels - pooled, pooled, counts)

    def _time_codes(self, ages: Tensor) -> Tensor:
        """(n, f) ages to (n, f, M) codes of time."""
        predictor = self._predictor
        if not predictor.add_tpos_enc_to_obj_ptrs:
            return ages.new_zeros(*ages.shape, predictor.mem_dim)
        projected = predictor.proj_tpos_enc_in_obj_ptrs
        size = predictor.hidden_dim if projected else predictor.mem_dim
        return in_blocks(predictor.obj_ptr_tpos_proj, get_1d_sine_pe(ages, dim=size))
