"""Memories of tracked objects: how they are made, how long they are kept, how they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from sam2vss_lib.masklets.engine.attention import attend, fit_rotary_codes, in_blocks, rotate


@dataclass
class Memories:
    """Memories of n objects that may still be read, by frame of the window.

    Attributes:
        maps: (n, p, M) bfloat16, as stock keeps them.
        pointers: (n, C) object pointers.
    """

    maps: dict[int, Tensor] = field(default_factory=dict)
    pointers: dict[int, Tensor] = field(default_factory=dict)

    def rows(self, index: slice | Tensor) -> Memories:
        """Some of the objects."""
        return Memories(
            {frame: x[index] for frame, x in self.maps.items()},
            {frame: x[index] for frame, x in self.pointers.items()},
        )

    def with_frame(self, frame: int, maps: Tensor, pointers: Tensor, reach: Reach) -> Memories:
        """These and a new frame's memories, without those that no later frame reads."""
        old_maps = {t: x for t, x in self.maps.items() if reach.maps(t, frame)}
        old_pointers = {t: x for t, x in self.pointers.items() if reach.pointers(t, frame)}
        return Memories({**old_maps, frame: maps}, {**old_pointers, frame: pointers})


class Reach:
    """Which frames' memories a later frame reads: the first one's always, and recent ones'."""

    def __init__(self, predictor: Any) -> None:
        self._num_maps = predictor.num_maskmem
        self._stride = predictor.memory_temporal_stride_for_eval
        self._num_pointers = predictor.max_obj_ptrs_in_encoder

    def map_frames(self, frame: int) -> list[tuple[int, int]]:
        """(frame, index of its temporal code) of the maps that `frame` reads, oldest first."""
        found = [(0, self._num_maps - 1)]
        for back in range(self._num_maps - 1, 0, -1):
            before = frame - 1
            if back > 1:
                before = (frame - 2) // self._stride * self._stride - (back - 2) * self._stride
            if before > 0:
                found.append((before, back - 1))
        return found

    def pointer_frames(self, frame: int) -> list[int]:
        """Frames of the pointers that `frame` reads: the first, then from recent to old."""
        return [0, *range(frame - 1, max(0, frame - self._num_pointers), -1)]

    def maps(self, old: int, frame: int) -> bool:
        """Whether the map of an old frame may still be read after `frame`."""
        oldest = (frame - 1) // self._stride * self._stride - (self._num_maps - 3) * self._stride
        return old == 0 or (old >= oldest and old % self._stride == 0 and self._num_maps > 2)

    def pointers(self, old: int, frame: int) -> bool:
        """Whether the pointer of an old frame may still be read after `frame`."""
        return old == 0 or old > frame + 1 - self._num_pointers


class MemoryReader:
    """The stock memory attention for many objects on one frame."""

    def __init__(self, predictor: Any, reach: Reach) -> None:
        self._predictor, self._reach = predictor, reach
        self._side = predictor.sam_image_embedding_size
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
        values, keys, pixels = self._tokens(frame, memories, spans)
        x = s16.flatten(2).transpose(1, 2)
        if attention.pos_enc_at_input:
            x = x + 0.1 * self._codes
        for layer in attention.layers:  # the first one's self-attention is the same for all
            x = self._look_around(layer, x)
            x = self._look_back(layer, x, values, keys, pixels)
            hidden = layer.activation(layer.linear1(layer.norm3(x)))
            x = x + layer.linear2(hidden)
        return attention.norm(x)

    def _look_around(self, layer: Any, x: Tensor) -> Tensor:
        attention, y = layer.self_attn, layer.norm1(x)
        coded = y + self._codes if layer.pos_enc_at_attn else y
        q = rotate(attention, attention.q_proj(coded), x.shape[1])
        k = rotate(attention, attention.k_proj(coded), x.shape[1])
        return x + attend(attention, q, k, y)

    def _look_back(
        self, layer: Any, x: Tensor, values: Tensor, keys: Tensor, pixels: int
    ) -> Tensor:
        attention, y = layer.cross_attn_image, layer.norm2(x)
        coded = y + self._codes if layer.pos_enc_at_cross_attn_queries else y
        q = rotate(attention, attention.q_proj(coded), x.shape[1])
        k = attention.k_proj(keys if layer.pos_enc_at_cross_attn_keys else values)
        k = rotate(attention, k, pixels)
        return x + attend(attention, q, k, values)

    def _tokens(self, frame: int, memories: Memories, spans: Tensor) -> tuple[Tensor, Tensor, int]:
        """(n, m, M) memory tokens, the same with codes of place and time, and how many are maps."""
        predictor = self._predictor
        frames = self._reach.map_frames(frame)
        times = predictor.maskmem_tpos_enc[[index for _, index in frames]]  # (k, 1, 1, M)
        codes = (self._map_codes + times.flatten(1, 2)).flatten(0, 1)  # (k * p, M)
        tokens = [memories.maps[t] for t, _ in frames]
        pixels, n = len(codes), len(spans)
        codes = codes.expand(n, -1, -1)
        if predictor.use_obj_ptrs_in_encoder:
            past = self._reach.pointer_frames(frame)
            pointers = torch.stack([memories.pointers[t] for t in past], 1)  # (n, f, C)
            split = pointers.shape[2] // predictor.mem_dim
            tokens.append(pointers.reshape(n, -1, predictor.mem_dim))
            ages = torch.tensor([frame - t for t in past], dtype=torch.float32, device=spans.device)
            ages = self._time_codes(ages / spans[:, None])
            codes = torch.cat([codes, ages.repeat_interleave(split, 1)], 1)
        values = torch.cat(tokens, 1)
        return values, values + codes, pixels

    def _time_codes(self, ages: Tensor) -> Tensor:
        """(n, f) ages to (n, f, M) codes of time."""
        predictor = self._predictor
        if not predictor.add_tpos_enc_to_obj_ptrs:
            return ages.new_zeros(*ages.shape, predictor.mem_dim)
        projected = predictor.proj_tpos_enc_in_obj_ptrs
        size = predictor.hidden_dim if projected else predictor.mem_dim
        return in_blocks(predictor.obj_ptr_tpos_proj, get_1d_sine_pe(ages, dim=size))
