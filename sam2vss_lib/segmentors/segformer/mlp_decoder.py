"""SegFormer's decoder of one frame, with the parameter names of the published VSPW heads.

The heads of CFFM, MRCFA and TV3S have all of it under the same names, so they are its subclasses.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from sam2vss_lib.segmentors.pixels import resize


class MlpDecoder(nn.Module):
    """The four stages of a Mix Transformer fused to one map, and a classifier on it.

    Xie et al., "SegFormer", NeurIPS 2021, section 3.2, with a batch norm and a ReLU after fusion.

    Args:
        in_channels: channels of the four stages, finest first.
        num_classes: number of classes, C.
        embed_dim: channels of the fused map, E.
        dropout: share of the fused channels that the classifier does without in training.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        embed_dim: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        for stage, channels in enumerate(in_channels, start=1):
            projection = nn.Sequential(OrderedDict(proj=nn.Linear(channels, embed_dim)))
            self.add_module(f"linear_c{stage}", projection)
        fusion = nn.Conv2d(4 * embed_dim, embed_dim, 1, bias=False)
        self.linear_fuse = nn.Sequential(OrderedDict(conv=fusion, bn=nn.BatchNorm2d(embed_dim)))
        self.dropout = nn.Dropout2d(dropout)
        self.linear_pred = nn.Conv2d(embed_dim, num_classes, 1)

    def fuse(self, stages: Sequence[Tensor]) -> Tensor:
        """Fuse float maps (B, C_i, h_i, w_i), finest first, to (B, E, h_1, w_1), not negative."""
        size = stages[0].shape[-2:]
        # The published order of the concatenation is coarsest first. A 1x1 convolution of resized
        # projections is the sum of the resized products: the large map is never multiplied by more
        # than the channels of its own stage.
        parts = self.get_parameter("linear_fuse.conv.weight").flatten(1).chunk(4, dim=1)  # (E, E)
        products = list[Tensor]()
        for stage, part in zip((4, 3, 2, 1), parts, strict=True):
            weight = part @ self.get_parameter(f"linear_c{stage}.proj.weight")
            bias = part @ self.get_parameter(f"linear_c{stage}.proj.bias")
            products.append(
                resize(F.conv2d(stages[stage - 1], weight[..., None, None], bias), size)
            )
        return F.relu(self.linear_fuse[1](sum(products)))

    def classify(self, fused: Tensor) -> Tensor:
        """Logits (B, C, h, w) of single frames, from their fused maps (B, E, h, w)."""
        return self.linear_pred(self.dropout(fused))
