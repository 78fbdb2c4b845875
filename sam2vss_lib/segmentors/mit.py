"""The Mix Transformer (MiT), the encoder of SegFormer, CFFM, MRCFA and TV3S.

It is built from the stages of the `transformers` implementation, whose parameter names it keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any

from torch import Tensor, nn

from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.pixels import InputSize, network_input

_WIDE = [64, 128, 320, 512]
#: the published sizes, as fields of `SegformerConfig`; what they do not name has its defaults
MIT_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "mit_b0": {"hidden_sizes": [32, 64, 160, 256], "depths": [2, 2, 2, 2]},
    "mit_b1": {"hidden_sizes": _WIDE, "depths": [2, 2, 2, 2]},
    "mit_b2": {"hidden_sizes": _WIDE, "depths": [3, 4, 6, 3]},
    "mit_b3": {"hidden_sizes": _WIDE, "depths": [3, 4, 18, 3]},
    "mit_b4": {"hidden_sizes": _WIDE, "depths": [3, 8, 27, 3]},
    "mit_b5": {"hidden_sizes": _WIDE, "depths": [3, 6, 40, 3]},
}
_PUBLISHED_EPS = 1e-6


@dataclass(frozen=True)
class MitSegmentor(Segmentor):
    """A base model on this encoder."""

    input_size: InputSize  # to which size frames are brought

    def network_input(self, frames: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB frames, on any device, as the network reads them."""
        least = least_side_px(self.network.config)
        return network_input(frames.to(self.device), self.input_size, least)


class MixTransformer(nn.Module):
    """The encoder by itself, with the norms of the published models.

    Args:
        architecture: fields of a `transformers.SegformerConfig`.
    """

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        from transformers import SegformerConfig, SegformerModel  # takes seconds

        super().__init__()
        self.config = SegformerConfig(**architecture)
        self.stages = SegformerModel(self.config).stages
        set_published_eps(self)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode normalised images (B, 3, H, W) to four maps (B, C_i, H_i, W_i), finest first.

        Each is at the product of the strides up to it.
        """
        maps = list[Tensor]()
        for stage in self.stages:
            pixels = stage(pixels)
            maps.append(pixels)
        return maps


def least_side_px(config: Any) -> int:
    """The shortest side of an image whose maps every attention of the encoder can still reduce.

    The configuration is a `transformers.SegformerConfig`.
    """
    strides = accumulate(config.strides, mul)
    return max(stride * ratio for stride, ratio in zip(strides, config.sr_ratios, strict=True))


def set_published_eps(encoder: nn.Module) -> None:
    """Give the norms of blocks and stages the epsilon with which the published models were trained.

    In the original code (`mix_transformer.py`) those have 1e-6, and the norms of patch embeddings
    and of reduced keys have torch's default of 1e-5, which `transformers` has everywhere.
    """
    for name, module in encoder.named_modules():
        inner = name.endswith(("patch_embeddings.layer_norm", "sequence_reduction.layer_norm"))
        if isinstance(module, nn.LayerNorm) and not inner:
            module.eps = _PUBLISHED_EPS
