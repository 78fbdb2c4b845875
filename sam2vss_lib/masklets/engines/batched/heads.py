"""The mask decoder and object pointers of many objects on one frame, without prompts.

What `SAM2Base._forward_sam_heads` computes for a tracked object, with the image kept as pixels by
channels throughout: no large tensor is ever transposed, and only a mask that is used is made.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from sam2.modeling.sam2_base import NO_OBJ_SCORE
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.memory.attention import (
    image_to_tokens,
    in_blocks,
    tokens_to_image,
    tokens_to_tokens,
)
from sam2vss_lib.masklets.engines.batched.running import as_it_is
from sam2vss_lib.masklets.engines.batched.upscaling import Upscaler, image_order


class Decoded(NamedTuple):
    """What the decoder says of n objects."""

    masks: Tensor  # (n, 1, S/4, S/4) float32 logits, `NO_OBJ_SCORE` where the object is absent
    pointers: Tensor  # (n, C) object pointers
    scores: Tensor  # (n, 1) presence logits


class _Tokens(NamedTuple):
    """Output tokens after the transformer."""

    score: Tensor | None  # (n, C)
    iou: Tensor  # (n, C)
    masks: Tensor  # (n, 4, C)
    image: Tensor  # (n, p, C)


class Heads:
    """The stock prompt encoder and mask decoder, called without points or boxes."""

    def __init__(self, predictor: Any, compiles: Callable[..., Any] = as_it_is) -> None:
        self._predictor, self._decoder = predictor, predictor.sam_mask_decoder
        self._decode = compiles(self._decoded)
        self._multimask = bool(predictor._use_multimask(False, None))
        decoder, encoder = self._decoder, predictor.sam_prompt_encoder
        device = predictor.device
        with torch.inference_mode():
            nothing = torch.zeros(1, 1, 2, device=device), -torch.ones(1, 1, device=device)
            sparse, _ = encoder(points=nothing, boxes=None, masks=None)
            tokens = [decoder.obj_score_token.weight] if decoder.pred_obj_scores else []
            tokens += [decoder.iou_token.weight, decoder.mask_tokens.weight, sparse[0]]
            self._prompt = torch.cat(tokens)[None]  # (1, t, C)
            self._pixel_codes = encoder.get_dense_pe().flatten(2).transpose(1, 2)  # (1, p, C)

    def decode(self, image: Tensor, features: EncodedFrames) -> Decoded:
        """Masks, pointers and scores on a frame after the first.

        `image` is the frame seen through each object's memories, (n, p, C); `features` are its own.
        """
        return self._decode(image, features)

    def _decoded(self, image: Tensor, features: EncodedFrames) -> Decoded:
        no_mask = self._predictor.sam_prompt_encoder.no_mask_embed.weight
        tokens = self._transform(image + no_mask)
        scores, present = self._presence(tokens)
        pixels = Upscaler(self._decoder, features)(tokens.image)  # (n, 16 p, C/8)
        masks, best = self._masks(tokens, pixels)
        if self._decoder.pred_obj_scores:
            masks = torch.where(present, masks, NO_OBJ_SCORE)
        token = tokens.masks[:, 0]
        if self._multimask and self._decoder.use_multimask_token_for_obj_ptr:
            token = _pick(tokens.masks, best)
        return Decoded(image_order(masks.float()), self._pointers(token, scores), scores)

    def pointers_of_masks(self, masks: Tensor, features: EncodedFrames) -> Tensor:
        """Object pointers (n, C) of given masks, as `SAM2Base._use_mask_as_output` makes them.

        Masks are (n, 1, S, S) float32 of zeros and ones; `features` are the frame's.
        """
        predictor = self._predictor
        downscale = predictor.sam_prompt_encoder.mask_downscaling
        prompts = in_blocks(lambda some: downscale(predictor.mask_downsample(some)), masks)
        image = (features.s16 + prompts).flatten(2).transpose(1, 2)
        tokens = self._transform(image)
        scores, _ = self._presence(tokens)
        pointers = self._pointers(tokens.masks[:, 0], scores)
        if predictor.pred_obj_scores:  # a second time, now by the given masks
            pointers = self._or_none(pointers, masks.flatten(1).any(1, keepdim=True).float())
        return pointers

    def _transform(self, image: Tensor) -> _Tokens:
        """The two-way transformer; until tokens see pixels they are the same for all objects."""
        transformer = self._decoder.transformer
        prompt, tokens = self._prompt, self._prompt
        image_k = image + self._pixel_codes
        for layer in transformer.layers:
            tokens = tokens_to_tokens(layer, tokens, prompt)
            seen = tokens_to_image(layer.cross_attn_token_to_image, tokens + prompt, image_k, image)
            tokens = layer.norm2(tokens + seen)
            tokens = layer.norm3(tokens + in_blocks(layer.mlp, tokens))
            attention = layer.cross_attn_image_to_token
            image = image_to_tokens(attention, image, image_k, tokens + prompt, tokens)
            image = layer.norm4(image)
            image_k = image + self._pixel_codes
        last = transformer.final_attn_token_to_image
        tokens = tokens + tokens_to_image(last, tokens + prompt, image_k, image)
        tokens = transformer.norm_final_attn(tokens)
        first = int(self._decoder.pred_obj_scores)
        return _Tokens(
            tokens[:, 0] if first else None,
            tokens[:, first],
            tokens[:, first + 1 : first + 1 + self._decoder.num_mask_tokens],
            image,
        )

    def _presence(self, tokens: _Tokens) -> tuple[Tensor, Tensor]:
        """(n, 1) logits of objects being present, and whether they are."""
        if tokens.score is None:  # as stock: sure of it
            scores = tokens.iou.new_full((len(tokens.iou), 1), 10.0)
        else:
            scores = in_blocks(self._decoder.pred_obj_score_head, tokens.score)
        return scores, scores > 0

    def _pointers(self, token: Tensor, scores: Tensor) -> Tensor:
        predictor = self._predictor
        pointers = in_blocks(predictor.obj_ptr_proj, token)
        if predictor.pred_obj_scores:
            present = scores.sigmoid() if predictor.soft_no_obj_ptr else (scores > 0).float()
            pointers = self._or_none(pointers, present)
        return pointers

    def _or_none(self, pointers: Tensor, present: Tensor) -> Tensor:
        """The pointers of objects as far as they are present, (n, 1) in 0..1."""
        predictor = self._predictor
        if predictor.fixed_no_obj_ptr:
            pointers = present * pointers
        return pointers + (1 - present) * predictor.no_obj_ptr

    def _masks(self, tokens: _Tokens, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 16 p) logits of the mask that stock would choose, and (n,) the best of the three."""
        decoder, layers = self._decoder, self._decoder.output_hypernetworks_mlps
        single = in_blocks(layers[0], tokens.masks[:, 0])
        best = torch.zeros(len(single), dtype=torch.long, device=single.device)
        chosen = single
        if self._multimask or decoder.dynamic_multimask_via_stability:
            best = in_blocks(decoder.iou_prediction_head, tokens.iou)[:, 1:].argmax(1) + 1
            hyper = [in_blocks(layer, tokens.masks[:, i]) for i, layer in enumerate(layers)]
            chosen = _pick(torch.stack(hyper, 1), best)
        # both at once even if they are one: a product with one column is another kernel
        first, fallback = (pixels @ torch.stack([single, chosen], 2)).unbind(2)
        if self._multimask or not decoder.dynamic_multimask_via_stability:
            return fallback, best
        # counts of sub-pixels do not depend on their order
        stability = decoder._get_stability_scores(first[:, None, :, None])
        stable = stability >= decoder.dynamic_multimask_stability_thresh
        return torch.where(stable, first, fallback), best


def _pick(x: Tensor, index: Tensor) -> Tensor:
    """One row of each object: (n, k, C) and (n,) to (n, C)."""
    return x[torch.arange(len(x), device=x.device), index]
