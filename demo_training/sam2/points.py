"""Point prompts: from a pixel to the mask of its region (stages direct, lookup, and half of joint).

A mask is the product of two factors that both start random, so plain training collapses. The
stages give each factor a direct gradient: first the features and hypernetworks with the decoder's
transformer left out, then the transformer alone, taught to look up the prompted position.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demo_training.sam2.losses import mask_iou, mask_loss
from demo_training.sam2.pool import SIDE_PX, Pool, region_targets, sample_clips

MASK_SIDE = SIDE_PX // 4  # the decoder's output resolution
_IOU_QUANTILE = 0.7
FEATURE_SCALE = 0.2  # of image features against position codes, see initialise_lookup


class Prompts(NamedTuple):
    """Point prompts on a batch of images.

    Attributes:
        image: (n,) int64 index of the image.
        point_px: (n, 2) int64 x, y.
        target: (n, 1, MASK_SIDE, MASK_SIDE) float32 mask of the region under the point.
    """

    image: Tensor
    point_px: Tensor
    target: Tensor


def draw_prompts(labels: Tensor, rng: np.random.Generator, per_image: int) -> Prompts:
    """Half of the points uniform over pixels, half uniform over regions.

    Args:
        labels: (B, S, S) int64 region ids.
        rng: source of randomness.
        per_image: prompts per image.
    """
    size = len(labels)
    image = torch.arange(size).repeat_interleave(per_image)
    point = torch.from_numpy(rng.integers(0, SIDE_PX, (len(image), 2)))
    flat = labels.flatten(1).numpy()
    for n in range(0, len(image), 2):
        row = flat[image[n]]
        region = rng.choice(np.unique(row[::37]))
        inside = np.flatnonzero(row == region)
        y, x = divmod(int(rng.choice(inside)), SIDE_PX)
        point[n, 0], point[n, 1] = x, y
    regions = labels[image, point[:, 1], point[:, 0]]
    return Prompts(image, point, region_targets(labels, image, regions, MASK_SIDE))


def encode(model: Any, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features of images (B, 3, S, S) as the image predictor prepares them.

    Returns:
        (B, D/8, S/4, S/4), (B, D/4, S/8, S/8) and (B, D, S/16, S/16), the last with the
        no-memory embedding added.
    """
    s4, s8, s16 = model.forward_image(images)["backbone_fpn"]
    return s4, s8, s16 + model.no_mem_embed[0, 0][None, :, None, None]


def direct_masks(
    model: Any, features: tuple[Tensor, Tensor, Tensor], prompts: Prompts, *, scale: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Masks without the decoder's transformer: the feature under the point drives the heads.

    Args:
        model: the SAM2 model.
        features: of `encode`.
        prompts: the same number for every image, in the order of the images.
        scale: of the image features where the upscaling reads them; see `initialise_lookup`.

    Returns:
        logits (n, 4, MASK_SIDE, MASK_SIDE), the normalised feature under each point (n, D) and
        the normalised feature maps (B, D, S/16, S/16).
    """
    s4, s8, s16 = features
    decoder = model.sam_mask_decoder
    batch, dim = s16.shape[:2]
    grid = ((prompts.point_px.float() + 0.5) * 2 / SIDE_PX - 1).view(batch, -1, 1, 2)
    query = F.grid_sample(s16, grid, align_corners=False, padding_mode="border")
    query = F.layer_norm(query[..., 0].permute(0, 2, 1).flatten(0, 1), (dim,))  # (n, D)
    maps = F.layer_norm(s16.permute(0, 2, 3, 1), (dim,)).permute(0, 3, 1, 2)
    up1, norm, act1, up2, act2 = decoder.output_upscaling
    fine = act2(up2(act1(norm(up1(maps * scale) + s8))) + s4)
    kernels = torch.stack([head(query) for head in decoder.output_hypernetworks_mlps], 1)
    kernels = kernels.view(batch, -1, *kernels.shape[1:])  # (B, n/B, 4, D/8)
    logits = torch.einsum("bnkc,bchw->bnkhw", kernels, fine).flatten(0, 1)
    return logits, query, maps


class Decoded(NamedTuple):
    """What the decoder says to point prompts."""

    logits: Tensor  # (n, 4, MASK_SIDE, MASK_SIDE)
    iou: Tensor  # (n, 4) predicted
    object_score: Tensor  # (n, 1)
    tokens: Tensor  # (n, 4, D) mask tokens after the transformer
    image_side: Tensor  # (n, D, S/16, S/16) image features after the transformer


def decode(model: Any, features: tuple[Tensor, Tensor, Tensor], prompts: Prompts) -> Decoded:
    """Run the real prompt encoder and mask decoder on point prompts."""
    s4, s8, s16 = features
    seen: list[Tensor] = []
    hook = model.sam_mask_decoder.transformer.register_forward_hook(
        lambda _module, _inputs, output: seen.extend(output)
    )
    points = prompts.point_px[:, None].float() + 0.5
    sparse, dense = model.sam_prompt_encoder(
        points=(points, torch.ones(len(points), 1, dtype=torch.int32)), boxes=None, masks=None
    )
    logits, iou, tokens, score = model.sam_mask_decoder.predict_masks(
        image_embeddings=s16[prompts.image],
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=[s4[prompts.image], s8[prompts.image]],
    )
    hook.remove()
    image_side = seen[1].transpose(1, 2).view(len(points), -1, *s16.shape[-2:])
    return Decoded(logits, iou, score, tokens, image_side)


def initialise_lookup(model: Any) -> None:
    """Make the decoder's transformer start as a look-up of the prompted position.

    Queries and keys of the token-to-image attentions share one orthogonal matrix, so attention
    starts where the prompt's and the pixels' position codes agree; values and outputs are
    transposes of each other, so what is looked up is copied; image features are made small
    against the position codes, with the factors undone where the features are read.
    """
    decoder = model.sam_mask_decoder
    transformer = decoder.transformer
    dim = transformer.embedding_dim
    halves = nn.init.orthogonal_(torch.empty(dim, dim)).chunk(2)
    looks = [layer.cross_attn_token_to_image for layer in transformer.layers]
    looks.append(transformer.final_attn_token_to_image)
    with torch.no_grad():
        for index, attention in enumerate(looks):
            match = nn.init.orthogonal_(torch.empty_like(attention.q_proj.weight)) * 3
            copy = halves[index % 2]
            for layer, weight in (
                (attention.q_proj, match),
                (attention.k_proj, match),
                (attention.v_proj, copy / FEATURE_SCALE),
                (attention.out_proj, copy.T),
            ):
                layer.weight.copy_(weight)
                layer.bias.zero_()
        for token in (decoder.mask_tokens, decoder.iou_token, decoder.obj_score_token):
            token.weight.mul_(0.1)
        for layer in transformer.layers:
            layer.self_attn.q_proj.weight.mul_(0.1)
            identity = nn.init.orthogonal_(torch.empty(dim, dim))
            layer.self_attn.v_proj.weight.copy_(identity)
            layer.self_attn.out_proj.weight.copy_(identity.T)
            layer.mlp.layers[-1].weight.mul_(0.1)
            layer.cross_attn_image_to_token.out_proj.weight.mul_(0.05)
            layer.norm4.weight.fill_(FEATURE_SCALE)
        decoder.output_upscaling[0].weight.div_(FEATURE_SCALE)
        for level in model.image_encoder.neck.convs:
            level.conv.weight.mul_(FEATURE_SCALE)
            level.conv.bias.mul_(FEATURE_SCALE)
        model.no_mem_embed.mul_(FEATURE_SCALE)
        for reader in (decoder.conv_s0, decoder.conv_s1):
            reader.weight.div_(FEATURE_SCALE)


def direct_step(model: Any, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, dict[str, Any]]:
    """Loss of the stage that trains encoder, upscaling and hypernetworks past the transformer."""
    images, labels = sample_clips(pool, rng, batch=8, num_frames=1)
    prompts = draw_prompts(labels[:, 0], rng, per_image=16)
    logits, _, _ = direct_masks(model, encode(model, images[:, 0]), prompts)
    iou = mask_iou(logits, prompts.target)
    return mask_loss(logits, prompts.target).mean(), {"iou": iou.mean()}


def lookup_step(model: Any, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, dict[str, Any]]:
    """Loss of the stage that teaches the transformer to hand on what the direct path reads."""
    images, labels = sample_clips(pool, rng, batch=4, num_frames=1)
    prompts = draw_prompts(labels[:, 0], rng, per_image=12)
    with torch.no_grad():
        features = encode(model, images[:, 0])
        _, query, maps = direct_masks(model, features, prompts)
    out = decode(model, features, prompts)
    token_error, image_error = _lookup_errors(out, query, maps[prompts.image])
    iou = mask_iou(out.logits, prompts.target)
    loss = 3 * token_error + image_error + 0.5 * mask_loss(out.logits, prompts.target).mean()
    loss = loss + _score_loss(out, iou)
    return loss, {
        "iou": iou.mean(),
        "token_mse": token_error.detach(),
        "image_mse": image_error.detach(),
    }


def point_step(model: Any, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, dict[str, Any]]:
    """Loss of the whole point path: all masks, the best of three more, and calibrated scores.

    The direct path, which costs next to nothing beside the encoder, goes on teaching the features
    with three times as many prompts, and stays the decoder's teacher.
    """
    images, labels = sample_clips(pool, rng, batch=14, num_frames=1)
    prompts = draw_prompts(labels[:, 0], rng, per_image=24)
    features = encode(model, images[:, 0])
    direct, query, maps = direct_masks(model, features, prompts, scale=FEATURE_SCALE)
    some = Prompts(*(part[::3] for part in prompts))
    out = decode(model, features, some)
    each = mask_loss(out.logits, some.target)  # (n, 4)
    loss = 0.6 * each.mean() + 0.4 * each[:, 1:].min(1).values.mean()
    loss = loss + mask_loss(direct, prompts.target).mean()
    token_error, image_error = _lookup_errors(out, query.detach()[::3], maps.detach()[some.image])
    loss = loss + token_error + 0.3 * image_error
    iou = mask_iou(out.logits, some.target)
    return loss + _score_loss(out, iou), {
        "iou": iou.mean(),
        "best": iou[:, 1:].max(1).values.mean(),
        "direct_iou": mask_iou(direct, prompts.target).mean(),
        "token_mse": token_error.detach(),
        "iou_error": (out.iou - iou).abs().mean().detach(),
    }


def score_step(model: Any, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, dict[str, Any]]:
    """Loss of the heads that only point prompts use: three masks, and their predicted IoU."""
    images, labels = sample_clips(pool, rng, batch=8, num_frames=1)
    prompts = draw_prompts(labels[:, 0], rng, per_image=16)
    out = decode(model, encode(model, images[:, 0]), prompts)
    each = mask_loss(out.logits[:, 1:], prompts.target)  # (n, 3)
    iou = mask_iou(out.logits, prompts.target)
    loss = 0.5 * each.mean() + 0.5 * each.min(1).values.mean() + _score_loss(out, iou)
    return loss, {
        "best": iou[:, 1:].max(1).values.mean(),
        "iou_error": (out.iou - iou).abs().mean().detach(),
    }


def _lookup_errors(out: Decoded, query: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """How far tokens (n, 4, D) and image side are from the direct path's query (n, D) and maps."""
    token_error = (out.tokens - query[:, None]).square().mean()
    image_error = (out.image_side / FEATURE_SCALE - maps).square().mean()
    return token_error, image_error


def _score_loss(out: Decoded, iou: Tensor) -> Tensor:
    """Predicted IoU against the actual one; a prompted object is always present.

    The prediction is a quantile above the median (pinball loss), as official models predict
    generously and the study's threshold on it was chosen for them.
    """
    short = iou - out.iou
    quality = 2 * torch.maximum(_IOU_QUANTILE * short, (_IOU_QUANTILE - 1) * short).mean()
    present = F.binary_cross_entropy_with_logits(
        out.object_score, torch.ones_like(out.object_score)
    )
    return quality + 0.1 * present
