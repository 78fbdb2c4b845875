"""Published names: every key is accounted for, and the network computes what its authors' does."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2vss_lib.errors import DataError
from sam2vss_lib.segmentors.mit import MIT_ARCHITECTURES, MixTransformer
from sam2vss_lib.segmentors.mmseg_names import is_published, temporal_from_published
from sam2vss_lib.segmentors.segformer.segformer import load_segformer
from tests.segmentors.published import published_backbone, published_decoder, random_state

CHANNELS, DEPTHS, HEADS = (8, 16, 20, 24), (1, 2, 1, 1), (1, 2, 5, 8)
SMALL = {"hidden_sizes": list(CHANNELS), "depths": list(DEPTHS)}


def published_segformer() -> dict[str, Tensor]:
    layout = published_backbone(CHANNELS, DEPTHS)
    decoder = published_decoder(CHANNELS, embed_dim=12, classes=5)
    return random_state(layout | {f"decode_head.{key}": shape for key, shape in decoder.items()})


def read_stages(w: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """The encoder by its published names, from the paper's equations; (1, 3, H, W) in."""

    def norm(name: str, tokens: Tensor, eps: float) -> Tensor:
        return F.layer_norm(tokens, tokens.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)

    def linear(name: str, tokens: Tensor) -> Tensor:
        return tokens @ w[name + ".weight"].T + w[name + ".bias"]

    stages = []
    for i, (c, heads) in enumerate(zip(CHANNELS, HEADS, strict=True), start=1):
        patch, stride = (7, 4) if i == 1 else (3, 2)
        weight, bias = (w[f"backbone.patch_embed{i}.proj.{part}"] for part in ("weight", "bias"))
        x = F.conv2d(x, weight, bias, stride=stride, padding=patch // 2)
        height, width = x.shape[2:]
        tokens = norm(f"backbone.patch_embed{i}.norm", x[0].flatten(1).T, 1e-5)
        for j in range(DEPTHS[i - 1]):
            name = f"backbone.block{i}.{j}."
            y = norm(name + "norm1", tokens, 1e-6)
            keys = y
            if name + "attn.sr.weight" in w:
                ratio = (8, 4, 2)[i - 1]
                as_map = y.T.reshape(1, c, height, width)
                weight, bias = w[name + "attn.sr.weight"], w[name + "attn.sr.bias"]
                keys = F.conv2d(as_map, weight, bias, stride=ratio)[0].flatten(1).T
                keys = norm(name + "attn.norm", keys, 1e-5)
            q, kv = linear(name + "attn.q", y), linear(name + "attn.kv", keys)
            out = torch.zeros_like(q)
            for h in range(heads):
                part = slice(h * c // heads, (h + 1) * c // heads)
                k, v = kv[:, :c][:, part], kv[:, c:][:, part]
                out[:, part] = (q[:, part] @ k.T / (c // heads) ** 0.5).softmax(1) @ v
            tokens = tokens + linear(name + "attn.proj", out)
            y = linear(name + "mlp.fc1", norm(name + "norm2", tokens, 1e-6))
            weight, bias = (w[f"{name}mlp.dwconv.dwconv.{part}"] for part in ("weight", "bias"))
            as_map = y.T.reshape(1, -1, height, width)
            y = F.conv2d(as_map, weight, bias, padding=1, groups=4 * c)[0].flatten(1).T
            tokens = tokens + linear(name + "mlp.fc2", F.gelu(y))
        x = norm(f"backbone.norm{i}", tokens, 1e-6).T.reshape(1, c, height, width)
        stages.append(x)
    return stages


def read_logits(w: dict[str, Tensor], pixels: Tensor) -> Tensor:
    stages = read_stages(w, pixels)
    maps = []
    for i in (4, 3, 2, 1):
        weight = w[f"decode_head.linear_c{i}.proj.weight"]
        y = torch.einsum("ec,bchw->behw", weight, stages[i - 1])
        y = y + w[f"decode_head.linear_c{i}.proj.bias"][:, None, None]
        maps.append(F.interpolate(y, stages[0].shape[2:], mode="bilinear", align_corners=False))
    y = F.conv2d(torch.cat(maps, 1), w["decode_head.linear_fuse.conv.weight"])
    bn = "decode_head.linear_fuse.bn."
    mean, var, scale, shift = (
        w[bn + part][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    y = F.relu((y - mean) / (var + 1e-5).sqrt() * scale + shift)
    return F.conv2d(y, w["decode_head.linear_pred.weight"], w["decode_head.linear_pred.bias"])


@torch.inference_mode()
def test_a_published_segformer_computes_what_its_names_say(tmp_path: Path) -> None:
    state = {name: 3 * value for name, value in published_segformer().items()}
    path = tmp_path / "segformer.pth"
    torch.save({"meta": {"epoch": 1}, "state_dict": state}, path)
    model = load_segformer("small", SMALL, path)
    assert (model.num_classes, model.input_size) == (5, "published")
    pixels = torch.randn(1, 3, 64, 96)
    wanted = read_logits(state, pixels)
    assert wanted.std() > 0.1
    torch.testing.assert_close(model.network(pixels).logits, wanted, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_encoder_of_temporal_models_is_the_same() -> None:
    state = published_segformer()
    renamed = temporal_from_published(state)
    encoder = MixTransformer(SMALL).eval()
    prefix = "backbone."
    own = {n.removeprefix(prefix): v for n, v in renamed.items() if n.startswith(prefix)}
    encoder.load_state_dict(own)
    pixels = torch.randn(1, 3, 64, 64)
    for found, wanted in zip(encoder(pixels), read_stages(state, pixels), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MIT_ARCHITECTURES)
def test_every_published_key_has_a_place(name: str) -> None:
    fields = MIT_ARCHITECTURES[name]
    layout = published_backbone(fields["hidden_sizes"], fields["depths"])
    assert is_published(layout)
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in layout.items()}
        wanted = {f"backbone.{k}": v for k, v in MixTransformer(fields).state_dict().items()}
    found = temporal_from_published(state)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in wanted.items()}


def test_other_layouts_are_told_by_their_keys(tmp_path: Path) -> None:
    state = published_segformer()
    state["decode_head.linear_fuse.gn.weight"] = state.pop("decode_head.linear_fuse.bn.weight")
    path = tmp_path / "segformer.pth"
    torch.save(state, path)
    with pytest.raises(DataError) as error:
        load_segformer("small", SMALL, path)
    line = str(error.value)
    assert "1 missing (decode_head.batch_norm.weight)" in line
    assert "1 unexpected (decode_head.linear_fuse.gn.weight)" in line
