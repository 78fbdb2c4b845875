"""The prompt encoder and mask decoder for many single points on one frame.

What the points share, the image before it has seen any of them, is worked on once per batch.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.memory.attention import (
    image_to_tokens,
    tokens_to_image,
    tokens_to_tokens,
)
from sam2vss_lib.masklets.engines.batched.upscaling import Upscaler, image_order


class Prompted(NamedTuple):
    """n points after the transformer, before any mask is made."""

    predicted_iou: Tensor  # (n, 3) the model's own estimate of its three masks' quality
    mask_tokens: Tensor  # (n, 3, C)
    image: Tensor  # (n, p, C)


class PointDecoder:
    """Stock `SAM2ImagePredictor._predict` of foreground points with multi-mask output.

    Features are one frame's, in the "image" resizing.
    """

    def __init__(self, predictor: Any, features: EncodedFrames) -> None:
        self._encoder, self._decoder = predictor.sam_prompt_encoder, predictor.sam_mask_decoder
        decoder = self._decoder
        image = features.s16.flatten(2).transpose(1, 2)
        if predictor.directly_add_no_mem_embed:
            image = image + predictor.no_mem_embed
        self._image = image + self._encoder.no_mask_embed.weight  # (1, p, C)
        self._codes = self._encoder.get_dense_pe().flatten(2).transpose(1, 2)  # (1, p, C)
        self._coded = self._image + self._codes
        output = [decoder.obj_score_token.weight] if decoder.pred_obj_scores else []
        self._output = torch.cat([*output, decoder.iou_token.weight, decoder.mask_tokens.weight])
        self._upscale = Upscaler(decoder, features)

    def decode(self, points: Tensor) -> Prompted:
        """Let points and image look at each other.

        Points are (n, 2) float32, x and y in pixels of the model's input.
        """
        labels = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        sparse, _ = self._encoder(points=(points[:, None], labels), boxes=None, masks=None)
        prompt = torch.cat([self._output.expand(len(points), -1, -1), sparse], 1)  # (n, t, C)
        tokens, image = self._transform(prompt)
        decoder, first = self._decoder, int(self._decoder.pred_obj_scores)
        # presence and the single mask are not asked for
        after = first + 1 + decoder.num_mask_tokens
        prompt, tokens = (
            torch.cat([x[:, first : first + 1], x[:, first + 2 : after]], 1)
            for x in (prompt, tokens)
        )
        last = decoder.transformer.final_attn_token_to_image
        tokens = tokens + tokens_to_image(last, tokens + prompt, image + self._codes, image)
        tokens = decoder.transformer.norm_final_attn(tokens)
        predicted_iou = decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        return Prompted(predicted_iou, tokens[:, 1:], image)

    def masks(self, prompted: Prompted, keep: Tensor) -> Tensor:
        """Logits (k, 1, S/4, S/4) float32 of the masks to keep, (n, 3) bool, of n points.

        Masks of one point are side by side; points of which none is kept cost nothing.
        """
        rows = keep.any(1).nonzero()[:, 0]
        keep, tokens = keep[rows], prompted.mask_tokens[rows]
        pixels = self._upscale(prompted.image[rows])  # (m, 16 p, C/8)
        layers = self._decoder.output_hypernetworks_mlps[1:]
        hyper = torch.stack([layer(tokens[:, i]) for i, layer in enumerate(layers)], 1)
        return image_order((hyper @ pixels.transpose(1, 2))[keep].float())

    def _transform(self, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """All layers of the two-way transformer: (n, t, C) tokens and (n, p, C) image."""
        tokens, image, coded = prompt, self._image, self._coded
        n, t, _ = prompt.shape
        for index, layer in enumerate(self._decoder.transformer.layers):
            tokens = tokens_to_tokens(layer, tokens, prompt)
            attention = layer.cross_attn_token_to_image
            if index == 0:  # one image, so all tokens of all points are its queries alike
                q = (tokens + prompt).flatten(0, 1)[None]
                seen = attention(q=q, k=coded, v=image).unflatten(1, (n, t))[0]
            else:
                seen = tokens_to_image(attention, tokens + prompt, coded, image)
            tokens = layer.norm2(tokens + seen)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            attention = layer.cross_attn_image_to_token
            image = image_to_tokens(
                attention, image, coded.expand(n, -1, -1), tokens + prompt, tokens
            )
            image = layer.norm4(image)
            coded = image + self._codes
        return tokens, image
