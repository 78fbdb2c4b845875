"""Training of the demo's temporal base models, on the encoders of the demo SegFormers.

Run as `python -m demo_training.segmentors.temporal --out runs/demo-temporal`; the
`.safetensors` files it leaves there are what `demo/` holds. The encoder stays as the SegFormer of
the same size has it, so that a table compares heads and not encoders, and only the head's weights
are written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from demo_training.segmentors.augmentation import Clips, random_clips
from demo_training.segmentors.command import run_command
from demo_training.segmentors.optimisation import (
    TrainSettings,
    class_weights,
    optimise,
    pixel_loss,
)
from sam2vss_lib.segmentors.mmseg_names import SEGFORMER_HEAD_NAMES
from sam2vss_lib.segmentors.pixels import normalise
from sam2vss_lib.segmentors.registry import demo_file, embedded_temporal
from sam2vss_lib.segmentors.temporal.architectures import (
    TemporalArchitecture,
    build_temporal,
    encoder_of_segformer,
)
from sam2vss_lib.segmentors.temporal.clip_head import REFERENCE_OFFSETS_FRAMES, TemporalNetwork
from sam2vss_lib.segmentors.weights import read_weights

#: weight of the classifications beside the final one, as in the published recipes
_AUXILIARY = 0.5
_OFFSETS_FRAMES = (*REFERENCE_OFFSETS_FRAMES, 0)
RECIPES: dict[str, TrainSettings] = {
    f"{head}-{size}": TrainSettings(steps=steps, batch=4)
    for head, steps_by_size in (
        ("cffm", {"micro": 800, "mini": 600}),
        ("mrcfa", {"micro": 800, "mini": 600}),
        ("tv3s", {"micro": 900, "mini": 900}),
    )
    for size, steps in steps_by_size.items()
}


def train(
    architecture: TemporalArchitecture,
    start: Mapping[str, Tensor],
    clips: Clips,
    settings: TrainSettings,
    checkpoint: Path,
) -> TemporalNetwork:
    """Train the head of a temporal model on the CPU, going on from `checkpoint` if it exists.

    Args:
        architecture: the model; its head must be without dropout, whose random numbers would
            differ after an interruption.
        start: a SegFormer's state dict with the same encoder; its decoder, if of the same width,
            is what the head's own begins with.
        clips: the training data, each clip longer than the reach of the references.
        settings: the recipe.
        checkpoint: where the state is kept between steps.

    Returns:
        The network with the encoder of `start`.

    Raises:
        DataError: `checkpoint` is of another architecture or recipe, or not readable.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_temporal(architecture).train()
    _begin_with(network, start)
    network.backbone.requires_grad_(False).eval()
    weight = class_weights([frame for clip in clips for frame in clip], architecture.num_classes)

    def loss_of(rng: np.random.Generator) -> Tensor:
        images, labels = random_clips(clips, _OFFSETS_FRAMES, settings.batch, settings.crop_px, rng)
        return clip_loss(network, images, labels, weight)

    optimise(network.decode_head, loss_of, settings, architecture.model_dump(), checkpoint)
    return network


def clip_loss(
    network: TemporalNetwork, images: Tensor, labels: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Cross entropy of the target with its references and, at half weight, of all frames alone.

    A head with more outputs than the final one (`clip_logits_all`) has these supervised too, at
    half weight together.

    Args:
        network: encoder and head.
        images: (B, T, 3, H, W) float32 in 0..255, references first, the target last.
        labels: (B, T, H, W) int64, void 255.
        weight: (C,) of the classes.

    Returns:
        The loss, a scalar.
    """
    batch = images.shape[:2]
    stages = network.backbone(normalise(images.flatten(0, 1)))
    by_frame = [stage.unflatten(0, batch).unbind(1) for stage in stages]
    frames = [network.decode_head.frame_features(one) for one in zip(*by_frame, strict=True)]
    alone = [
        pixel_loss(network.decode_head.frame_logits(features), labels[:, t], weight)
        for t, features in enumerate(frames)
    ]
    head: Any = network.decode_head
    several = hasattr(head, "clip_logits_all")
    *others, final = head.clip_logits_all(frames) if several else (head.clip_logits(frames),)
    loss = pixel_loss(final, labels[:, -1], weight) + _AUXILIARY * torch.stack(alone).mean()
    if others:
        beside = [pixel_loss(logits, labels[:, -1], weight) for logits in others]
        loss = loss + _AUXILIARY * torch.stack(beside).mean()
    return loss


def _begin_with(network: TemporalNetwork, start: Mapping[str, Tensor]) -> None:
    """Take the SegFormer's encoder and, if of the head's width, its decoder.

    The head's further classifiers begin with the SegFormer's too; what one of them reads besides
    the fused map then counts for nothing until training says otherwise.
    """
    own = network.state_dict()
    decoder = _decoder_as_published(start)
    if any(value.shape != own[name].shape for name, value in decoder.items()):
        decoder = {}
    network.load_state_dict(own | encoder_of_segformer(start) | decoder)
    first = network.decode_head.linear_pred
    for module in network.decode_head.modules() if decoder else ():
        if isinstance(module, nn.Conv2d) and module.out_channels == first.out_channels:
            with torch.no_grad():
                module.weight[:, first.in_channels :] = 0
                module.weight[:, : first.in_channels] = first.weight
                cast(Tensor, module.bias).copy_(cast(Tensor, first.bias))


def _decoder_as_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The decoder of a SegFormer of `transformers`, with the names of the temporal heads."""
    decoder = dict[str, Tensor]()
    for published, ours in SEGFORMER_HEAD_NAMES:
        for stage in range(4):
            old = f"decode_head.{ours}.".replace("#", str(stage))
            new = f"decode_head.{published}.".replace("#", str(stage + 1))
            found = {k.removeprefix(old): v for k, v in state.items() if k.startswith(old)}
            decoder.update({new + rest: value for rest, value in found.items()})
    return decoder


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, export and measure the temporal demo models."""

    def trained(name: str, clips: Clips, checkpoint: Path) -> dict[str, Tensor]:
        start = read_weights(demo_file(f"segformer-{name.split('-')[1]}", ".safetensors"))
        network = train(embedded_temporal(name), start, clips, RECIPES[name], checkpoint)
        state = network.state_dict().items()
        return {key: value for key, value in state if key.startswith("decode_head.")}

    names = {name: name for name in RECIPES}
    run_command("the temporal demo models", names, trained, arguments)


if __name__ == "__main__":
    main()
