"""Parameter names of the published (mmsegmentation) checkpoints, and ours beside them.

Ours are those of `transformers` for the encoder and for SegFormer's decoder; the temporal heads
keep the published ones.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

#: published on the left, `transformers` on the right; # is the stage, counted from 1 on the left
#: and from 0 on the right, and * the block. `.weight` or `.bias` follows.
ENCODER_NAMES: tuple[tuple[str, str], ...] = (
    ("patch_embed#.proj", "stages.#.patch_embeddings.proj"),
    ("patch_embed#.norm", "stages.#.patch_embeddings.layer_norm"),
    ("block#.*.norm1", "stages.#.blocks.*.layernorm_before"),
    ("block#.*.norm2", "stages.#.blocks.*.layernorm_after"),
    ("block#.*.attn.q", "stages.#.blocks.*.attention.q_proj"),
    ("block#.*.attn.kv", "stages.#.blocks.*.attention.[k_proj|v_proj]"),  # first and last half
    ("block#.*.attn.proj", "stages.#.blocks.*.attention.o_proj"),
    ("block#.*.attn.sr", "stages.#.blocks.*.attention.sequence_reduction.sequence_reduction"),
    ("block#.*.attn.norm", "stages.#.blocks.*.attention.sequence_reduction.layer_norm"),
    ("block#.*.mlp.fc1", "stages.#.blocks.*.mlp.fc1"),
    ("block#.*.mlp.dwconv.dwconv", "stages.#.blocks.*.mlp.dwconv.dwconv"),
    ("block#.*.mlp.fc2", "stages.#.blocks.*.mlp.fc2"),
    ("norm#", "stages.#.layer_norm"),
)
#: likewise, of SegFormer's decoder
SEGFORMER_HEAD_NAMES: tuple[tuple[str, str], ...] = (
    ("linear_c#.proj", "linear_projections.#.proj"),
    ("linear_fuse.conv", "linear_fuse"),
    ("linear_fuse.bn", "batch_norm"),
    ("linear_pred", "classifier"),
)
#: a classifier that every published head has and none uses
UNUSED = ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias")

_ENCODER, _HEAD = "backbone.", "decode_head."


def is_published(names: Iterable[str]) -> bool:
    """Whether parameter names are those of a published checkpoint."""
    return any(name.startswith(f"{_ENCODER}patch_embed1.") for name in names)


def temporal_from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published CFFM, MRCFA or TV3S as the state dict of a `TemporalNetwork`.

    Names that are in no table stay as they are, for the check of missing and unexpected ones.
    """
    used = {name: value for name, value in state.items() if name not in UNUSED}
    return _renamed(used, _ENCODER, ENCODER_NAMES, _ENCODER)


def segformer_from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published SegFormer as the state dict of a `SegformerForSemanticSegmentation`."""
    used = {name: value for name, value in state.items() if name not in UNUSED}
    encoder = _renamed(used, _ENCODER, ENCODER_NAMES, "segformer.")
    return _renamed(encoder, _HEAD, SEGFORMER_HEAD_NAMES, _HEAD)


def _renamed(
    state: Mapping[str, Tensor], prefix: str, table: Iterable[tuple[str, str]], new_prefix: str
) -> dict[str, Tensor]:
    """Rename what begins with `prefix` and is in the table."""
    patterns = [(_pattern(prefix + old), new_prefix + new) for old, new in table]
    renamed = dict[str, Tensor]()
    for name, value in state.items():
        for pattern, new in patterns:
            if match := pattern.fullmatch(name):
                renamed.update(_entries(match.groupdict(), new, value))
                break
        else:
            renamed[name] = value
    return renamed


def _pattern(name: str) -> re.Pattern[str]:
    text = re.escape(name).replace(r"\#", r"(?P<stage>[1-4])").replace(r"\*", r"(?P<block>\d+)")
    return re.compile(text + r"\.(?P<rest>\w+)")


def _entries(found: Mapping[str, str], new: str, value: Tensor) -> dict[str, Tensor]:
    """A parameter under its new name, or the halves of one under two."""
    new = new.replace("#", str(int(found.get("stage", "0")) - 1))
    new = new.replace("*", found.get("block", "")) + f".{found['rest']}"
    if "[" not in new:
        return {new: value}
    before, names, after = re.split(r"[\[\]]", new)
    parts = value.chunk(2) if value.ndim else [value] * 2
    halves = zip(names.split("|"), parts, strict=False)  # a wrong shape is told later
    return {before + name + after: half for name, half in halves}
