"""SegFormer on the `transformers` classes: building, loading, and inference on frames.

Frames are stretched to the next multiples of 32, as in the published test pipeline of the VSPW
models, and normalised with ImageNet's mean and deviation. The network's logits, at that size over
its first stride (4 in the published models, 8 in the demo's), go to the size of the frame by
bilinear interpolation (`align_corners=False`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.files import sha256_file
from sam2vss_lib.segmentors.base import Prediction
from sam2vss_lib.segmentors.weights import read_weights, weights_file

#: strides of the four stages multiply to this; other sizes would lose rows and columns on the way
SIZE_MULTIPLE_PX = 32
_MEAN = (123.675, 116.28, 103.53)  # ImageNet, RGB, of values 0..255
_STD = (58.395, 57.12, 57.375)
_CLASSIFIER = "decode_head.classifier.weight"


@dataclass(frozen=True)
class SegFormer:
    """A SegFormer ready to use (a `Segmentor`).

    Attributes:
        name: name in the registry.
        network: the network in evaluation mode, float32.
        checkpoint_sha256: hash of the weights file.
        device: where the network is.
    """

    name: str
    network: SegformerForSemanticSegmentation
    checkpoint_sha256: str
    device: torch.device

    @property
    def num_classes(self) -> int:
        """C."""
        return self.network.decode_head.classifier.out_channels

    @torch.inference_mode()
    def predict(self, frames: Tensor, *, with_probabilities: bool = False) -> Prediction:
        """Segment a batch of frames.

        Args:
            frames: (B, H, W, 3) uint8 RGB, on any device.
            with_probabilities: whether probabilities are wanted besides the labels.

        Returns:
            Labels (B, H, W) uint8 and probabilities (B, C, h, w) float16, where (h, w) is (H, W)
            rounded up to multiples of 32, over the network's first stride.

        Raises:
            SettingsError: `frames` has another shape or dtype.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
            raise SettingsError(
                f"frames are {frames.dtype} {tuple(frames.shape)}, not torch.uint8 (B, H, W, 3)"
            )
        size = (frames.shape[1], frames.shape[2])
        pixels = normalise(frames.to(self.device).permute(0, 3, 1, 2))
        inner = [-(-side // SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX for side in size]
        pixels = F.interpolate(pixels, size=inner, mode="bilinear", align_corners=False)
        logits = self.network(pixels).logits  # (B, C, h, w)
        # One frame at a time: C maps of full size are much larger than all else.
        labels = [
            F.interpolate(one[None], size=size, mode="bilinear", align_corners=False)[0].argmax(0)
            for one in logits
        ]
        probabilities = logits.softmax(1).half() if with_probabilities else None
        return Prediction(torch.stack(labels).to(torch.uint8), probabilities)


def normalise(frames: Tensor) -> Tensor:
    """Normalise RGB values 0..255 as ImageNet models expect them.

    Args:
        frames: (B, 3, H, W) uint8 or float.

    Returns:
        (B, 3, H, W) float32.
    """
    mean = torch.tensor(_MEAN, device=frames.device).view(3, 1, 1)
    std = torch.tensor(_STD, device=frames.device).view(3, 1, 1)
    return (frames.float() - mean) / std


def build_segformer(architecture: Mapping[str, Any]) -> SegformerForSemanticSegmentation:
    """Build a network with random weights, in training mode, on the CPU.

    Args:
        architecture: fields of a `transformers.SegformerConfig`; those left out have its defaults.
    """
    return SegformerForSemanticSegmentation(SegformerConfig(**architecture))


def load_segformer(
    name: str,
    architecture: Mapping[str, Any],
    checkpoint: Path,
    device: str | torch.device = "cpu",
) -> SegFormer:
    """Load a SegFormer.

    Args:
        name: name in the registry.
        architecture: fields of a `transformers.SegformerConfig`. Number of classes and width of the
            decoder are taken from the weights where they are not given.
        checkpoint: a Hugging Face folder or a weights file in its layout.
        device: where to put the network.

    Raises:
        DataError: the weights are missing, not readable, or do not fit the architecture.
    """
    path = weights_file(checkpoint)
    state = read_weights(path)
    network = build_segformer({**_decoder_sizes(state, path), **architecture})
    _check_fit(state, network, name, path)
    network.load_state_dict(state)
    device = torch.device(device)
    network = cast(Any, network).float().to(device).eval()
    return SegFormer(name, network, sha256_file(path), device)


def _decoder_sizes(state: Mapping[str, Tensor], path: Path) -> dict[str, int]:
    """Number of classes and decoder width, as the weights have them."""
    classifier = state.get(_CLASSIFIER)
    if classifier is None or classifier.ndim != 4:
        raise DataError(
            f"{path}: no {_CLASSIFIER} of four dimensions; give a SegFormer for semantic "
            "segmentation in Hugging Face layout"
        )
    return {"num_labels": classifier.shape[0], "decoder_hidden_size": classifier.shape[1]}


def _check_fit(
    state: Mapping[str, Tensor], network: SegformerForSemanticSegmentation, name: str, path: Path
) -> None:
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - state.keys())
    unexpected = sorted(state.keys() - wanted.keys())
    misshapen = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or unexpected or misshapen:
        raise DataError(
            f"{path}: weights do not fit {name}: {len(missing)} missing, {len(unexpected)} "
            f"unexpected and {len(misshapen)} of another shape, such as "
            f"{[*misshapen, *missing, *unexpected][0]}; check the model's name"
        )
