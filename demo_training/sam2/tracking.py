"""Tracking: from a region's mask on one frame to its masks on the next ones.

The decoder's own loss teaches the memory modules too indirectly, so a 1x1 convolution that exists
in training only reads the object's mask from the memory-conditioned features (deep supervision).
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demo_training.sam2.losses import mask_iou, mask_loss
from demo_training.sam2.points import MASK_SIDE
from demo_training.sam2.pool import SIDE_PX, Pool, region_targets, sample_clips

_FIRST_MASK_TOKEN = 2  # behind the tokens of object score and predicted IoU
_TIME_CODE_FRAMES = 32  # scales the object pointers' time code; a window at test time


class DeepSupervision(nn.Module):
    """Reads an object's mask from memory-conditioned features; left out of the shipped model."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(dim, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, D, S/16, S/16) features to (n, 1, S/16, S/16) logits."""
        return self.read(features)


@contextmanager
def _heard_heads(model: Any) -> Generator[list[tuple[Tensor, Any, Tensor]]]:
    """Record features going in, output, and first mask token of every call of the SAM heads.

    In training mode `track_step` keeps the object scores to itself; this listens in.
    """
    calls: list[tuple[Tensor, Any, Tensor]] = []
    tokens: list[Tensor] = []
    hook = model.sam_mask_decoder.transformer.register_forward_hook(
        lambda _module, _inputs, output: tokens.append(output[0][:, _FIRST_MASK_TOKEN])
    )
    original = model._forward_sam_heads

    def listening(*args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        calls.append((kwargs["backbone_features"], output, tokens[-1]))
        return output

    model._forward_sam_heads = listening
    try:
        yield calls
    finally:
        del model._forward_sam_heads
        hook.remove()


def _draw_objects(labels: Tensor, rng: np.random.Generator, per_clip: int) -> tuple[Tensor, Tensor]:
    """Regions of some size on the first frame; returns clip index (n,) and region id (n,)."""
    clips, regions = [], []
    for clip, first in enumerate(labels[:, 0].numpy()):
        ids, counts = np.unique(first[::8, ::8], return_counts=True)
        ids = ids[counts >= 3]
        clips += [clip] * per_clip
        regions += rng.choice(ids, per_clip, replace=len(ids) < per_clip).tolist()
    return torch.tensor(clips), torch.tensor(regions)


@torch.no_grad()
def _object_feature(model: Any, features: Tensor, masks: Tensor) -> Tensor:
    """Mean feature under each object's mask, normalised as the direct path does.

    Args:
        model: the SAM2 model.
        features: (n, D, S/16, S/16) of the object's frame.
        masks: (n, 1, S/16, S/16) in 0..1.

    Returns:
        (n, D).
    """
    mean = (features * masks).sum((-1, -2)) / masks.sum((-1, -2)).clamp(min=1e-3)
    return F.layer_norm(mean + model.no_mem_embed[0], mean.shape[1:])


def tracking_step(
    model: Any,
    probe: DeepSupervision,
    pool: Pool,
    rng: np.random.Generator,
    *,
    clips: int = 2,
    objects: int = 6,
    num_frames: int = 4,
    train_encoder: bool = False,
    probe_weight: float = 1.0,
    lookup_weight: float = 0.0,
) -> tuple[Tensor, dict[str, Any]]:
    """Loss of tracking regions from their true mask through `num_frames` frames.

    Args:
        model: the SAM2 model in training mode.
        probe: the deep supervision head.
        pool: training clips.
        rng: source of randomness.
        clips: clips per step.
        objects: objects per clip.
        num_frames: frames per clip, the prompted one included.
        train_encoder: let gradients reach the image encoder.
        probe_weight: weight of the deep supervision.
        lookup_weight: weight of the mask token's distance from the object's own mean feature, with
            which the direct path would draw its mask.
    """
    images, labels = sample_clips(pool, rng, clips, num_frames)
    if rng.random() < 0.5:
        images, labels = images.flip(1), labels.flip(1)
    clip, region = _draw_objects(labels, rng, objects)
    with torch.set_grad_enabled(train_encoder):
        encoded = model.forward_image(images.flatten(0, 1))
    outputs: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    losses: list[Tensor] = []
    seen: list[list[float]] = []
    flat = labels.flatten(0, 1)
    unmoved = region_targets(flat, clip * num_frames, region, MASK_SIDE)
    with _heard_heads(model) as calls:
        for t in range(num_frames):
            frame = clip * num_frames + t
            _, tokens, positions, sizes = model._prepare_backbone_features(
                {
                    "backbone_fpn": [level[frame] for level in encoded["backbone_fpn"]],
                    "vision_pos_enc": [
                        level[:1].expand(len(frame), -1, -1, -1)
                        for level in encoded["vision_pos_enc"]
                    ],
                }
            )
            calls.clear()
            step = model.track_step(
                frame_idx=t,
                is_init_cond_frame=t == 0,
                current_vision_feats=tokens,
                current_vision_pos_embeds=positions,
                feat_sizes=sizes,
                point_inputs=None,
                mask_inputs=region_targets(flat, frame, region, SIDE_PX) if t == 0 else None,
                output_dict=outputs,
                num_frames=_TIME_CODE_FRAMES,
                run_mem_encoder=t < num_frames - 1,
            )
            outputs["cond_frame_outputs" if t == 0 else "non_cond_frame_outputs"][t] = step
            if t == 0:
                continue
            features, heads, token = calls[-1]
            target = region_targets(flat, frame, region, MASK_SIDE)
            visible = target.flatten(1).sum(1) > 1
            logits, score = heads[0][:, :1].clamp(-60, 60), heads[6]
            coarse = F.adaptive_avg_pool2d(target, MASK_SIDE // 4)
            per_object = mask_loss(logits, target)[:, 0]
            probed = probe(features)
            per_object = per_object + probe_weight * mask_loss(probed, coarse)[:, 0]
            looked_up = _object_feature(model, encoded["backbone_fpn"][-1][frame], coarse)
            per_object = per_object + lookup_weight * (token - looked_up).square().mean(1)
            presence = F.binary_cross_entropy_with_logits(score[:, 0], visible.float())
            losses.append((per_object * visible).mean() + 0.1 * presence)
            pairs = ((logits, target), (probed, coarse), (unmoved - 0.5, target))
            seen.append([mask_iou(a, b)[visible].mean().item() for a, b in pairs])
    names = ("track_iou", "probe_iou", "unmoved")
    return torch.stack(losses).mean(), dict(zip(names, np.mean(seen, axis=0), strict=True))
