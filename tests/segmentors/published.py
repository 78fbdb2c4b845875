"""Keys and shapes of published (mmsegmentation) checkpoints, as their authors' code makes them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Layout = dict[str, list[int]]


def published_backbone(channels: Sequence[int], depths: Sequence[int]) -> Layout:
    """A Mix Transformer (`mix_transformer.py`), with the prefix `backbone.`."""
    layout = Layout()
    before = 3
    for i, (c, depth, patch, reduction) in enumerate(
        zip(channels, depths, (7, 3, 3, 3), (8, 4, 2, 1), strict=True), start=1
    ):
        layout[f"patch_embed{i}.proj.weight"] = [c, before, patch, patch]
        layout[f"patch_embed{i}.proj.bias"] = [c]
        layout |= _norm(f"patch_embed{i}.norm", c)
        for j in range(depth):
            block = f"block{i}.{j}."
            layout |= _norm(block + "norm1", c) | _norm(block + "norm2", c)
            layout |= _linear(block + "attn.q", c, c) | _linear(block + "attn.kv", c, 2 * c)
            layout |= _linear(block + "attn.proj", c, c)
            if reduction > 1:
                layout[block + "attn.sr.weight"] = [c, c, reduction, reduction]
                layout[block + "attn.sr.bias"] = [c]
                layout |= _norm(block + "attn.norm", c)
            layout |= _linear(block + "mlp.fc1", c, 4 * c) | _linear(block + "mlp.fc2", 4 * c, c)
            layout[block + "mlp.dwconv.dwconv.weight"] = [4 * c, 1, 3, 3]
            layout[block + "mlp.dwconv.dwconv.bias"] = [4 * c]
        layout |= _norm(f"norm{i}", c)
        before = c
    return {f"backbone.{key}": shape for key, shape in layout.items()}


def published_decoder(channels: Sequence[int], embed_dim: int = 256, classes: int = 124) -> Layout:
    """SegFormer's decoder (`segformer_head.py`), without the prefix `decode_head.`."""
    layout: Layout = {"conv_seg.weight": [classes, 128, 1, 1], "conv_seg.bias": [classes]}
    for i, c in enumerate(channels, start=1):
        layout |= _linear(f"linear_c{i}.proj", c, embed_dim)
    layout["linear_fuse.conv.weight"] = [embed_dim, 4 * embed_dim, 1, 1]
    layout |= _norm("linear_fuse.bn", embed_dim)
    layout["linear_fuse.bn.running_mean"] = layout["linear_fuse.bn.running_var"] = [embed_dim]
    layout["linear_fuse.bn.num_batches_tracked"] = []
    return layout | {
        "linear_pred.weight": [classes, embed_dim, 1, 1],
        "linear_pred.bias": [classes],
    }


def random_state(layout: Mapping[str, Sequence[int]], scale: float = 0.1) -> dict[str, Tensor]:
    """Random values for a layout, small enough that nothing overflows on the way."""
    generator = torch.Generator().manual_seed(0)
    state = {
        key: scale * torch.randn(list(shape), generator=generator) for key, shape in layout.items()
    }
    for key in state:
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            state[key] = state[key].abs() + 0.5
    return state


def _linear(name: str, inputs: int, outputs: int) -> Layout:
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def _norm(name: str, channels: int) -> Layout:
    return {f"{name}.weight": [channels], f"{name}.bias": [channels]}
