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


def published_cffm(c: Sequence[int], depth: int) -> Layout:
    """CFFM's head, without the prefix `decode_head.`.

    It has 256 channels, eight heads, windows of 7 x 7 pixels, a ring of 132 keys, and squares of
    5 x 5 pooled windows of the target and 7 x 7, 5 x 5, 3 x 3 tokens of the references.
    """
    e, classes = 256, 124
    layers = {f"linear_c{i}.proj": [e, c[i - 1]] for i in (1, 2, 3, 4)}
    layers |= {"linear_pred": [classes, e, 1, 1], "linear_pred2": [classes, 2 * e, 1, 1]}
    layers |= {"linear_fuse.bn": [e]}
    layout: Layout = {f"linear_fuse.bn.running_{what}": [e] for what in ("mean", "var")}
    layout |= {
        "linear_fuse.bn.num_batches_tracked": [],
        "linear_fuse.conv.weight": [e, 4 * e, 1, 1],
    }
    for block in (f"decoder_focal.blocks.{i}" for i in range(depth)):
        layers |= {f"{block}.norm{i}": [e] for i in (1, 2)}
        layers |= {f"{block}.attn.qkv": [3 * e, e], f"{block}.attn.proj": [e, e]}
        layers |= {f"{block}.mlp.fc1": [4 * e, e], f"{block}.mlp.fc2": [e, 4 * e]}
        pools = ("pool_layers.0", *(f"pool_layers_clips.{i}" for i in range(3)))
        layers |= {f"{block}.{n}": [1, p] for n, p in zip(pools, (49, 49, 9, 4), strict=True)}
        table = f"{block}.attn.relative_position_bias_table"
        index = f"{block}.attn.relative_position_index"
        layout |= {table: [13 * 13, 8], f"{table}_to_neighbors": [1, 8, 49, 132]}
        layout |= {index: [49, 49], f"{block}.attn.valid_ind_rolled": [132]}
        layout |= {f"{table}_to_windows.0": [8, 11 * 11], f"{index}_0": [49, 25]}
        for i, kernel in enumerate((7, 5, 3)):
            layout[f"{table}_to_windows_clips.{i}"] = [8, (7 + kernel - 1) ** 2]
            layout[f"{index}_clips_{i}"] = [49, kernel**2]
    layout |= {f"{name}.weight": shape for name, shape in layers.items()}
    return layout | {f"{name}.bias": shape[:1] for name, shape in layers.items()}


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
        elif "_index" in key or "valid_ind" in key:  # places in tables
            state[key] = torch.zeros_like(state[key], dtype=torch.int64)
    return state


def _linear(name: str, inputs: int, outputs: int) -> Layout:
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def _norm(name: str, channels: int) -> Layout:
    return {f"{name}.weight": [channels], f"{name}.bias": [channels]}
