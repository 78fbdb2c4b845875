"""MRCFA's head: published layout, equality with the slow reading, sizes, batches, gradients."""

from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sam2vss_lib.segmentors.temporal.clip_head import FrameFeatures
from sam2vss_lib.segmentors.temporal.mrcfa import VARIANTS, MrcfaHead
from tests.oracles import mrcfa as oracle

CHANNELS = (3, 4, 5, 6)


def published_layout(c: tuple[int, ...], aggregation: dict[str, str]) -> dict[str, list[int]]:
    """Names and shapes of `decode_head.*`, from the published configuration.

    Args:
        c: channels of the encoder.
        aggregation: of each part of `hpn` its convolutions, as "in-out-kernel" each.
    """
    e, classes = 256, 124
    layers = {f"linear_c{i}.proj": [e, c[i - 1]] for i in (1, 2, 3, 4)}
    layers |= {"linear_pred": [classes, e, 1, 1]}
    layers |= {f"deco{i}.smalldecoder.1": [classes, e, 1, 1] for i in (1, 2, 3, 4)}
    layers |= {"sr2": [c[1], c[1], 4, 4], "sr3": [c[2], c[2], 2, 2], "sr1_feat": [e, e, 4, 4]}
    layers |= {f"hypercorre_module.{n}{i}": [c[i], c[i]] for n in "qk" for i in (1, 2, 3)}
    for part, convolutions in aggregation.items():
        for i, text in enumerate(convolutions.split()):
            inner, outer, kernel = (int(number) for number in text.split("-"))
            name = f"hypercorre_module.hpn.encoder_{part}"
            layers[f"{name}.{3 * i}.conv2"] = [outer, inner, kernel, kernel]
            layers[f"{name}.{3 * i + 1}"] = [outer]
    layers["linear_fuse.bn"] = [e]
    layout = {f"{name}.weight": shape for name, shape in layers.items()}
    layout |= {f"{name}.bias": shape[:1] for name, shape in layers.items()}
    layout |= {f"linear_fuse.bn.running_{what}": [e] for what in ("mean", "var")}
    return layout | {
        "linear_fuse.bn.num_batches_tracked": [],
        "linear_fuse.conv.weight": [e, 4 * e, 1, 1],
    }


ONE = {
    "layer4": "1-1-3",
    "layer3": "1-1-5",
    "layer2": "1-1-5",
    "layer4to3": "1-1-3",
    "layer3to2": "1-1-3",
}
TWO = {
    "layer4": "1-1-3 1-2-3",
    "layer3": "1-1-3 1-2-3",
    "layer2": "1-1-5 1-2-3",
    "layer4to3": "2-2-3 2-2-3",
    "layer3to2": "2-2-3 2-1-3",
}


@pytest.mark.parametrize(
    ("name", "channels", "aggregation", "of_affinities"),
    [
        ("mit_b0", (32, 64, 160, 256), ONE, 32),
        ("mit_b1", (64, 128, 320, 512), TWO, 52),
        ("mit_b2", (64, 128, 320, 512), ONE, 32),
        ("mit_b5", (64, 128, 320, 512), ONE, 32),
    ],
)
def test_published_state_dict_loads_strictly(name, channels, aggregation, of_affinities):
    layout = published_layout(channels, aggregation)
    assert sum(key.startswith("hypercorre_module.") for key in layout) == of_affinities
    state = {
        key: torch.tensor(7) if key.endswith("tracked") else torch.rand(shape)
        for key, shape in layout.items()
    }
    head = MrcfaHead(**VARIANTS[name])
    head.load_state_dict(state, strict=True)
    assert all(torch.equal(head.state_dict()[key], value) for key, value in state.items())
    assert head.hypercorre_module.keep_ratio == (0.8 if name == "mit_b0" else 0.5)


def make_head(*, deep: bool = False, keep_ratio: float = 0.5) -> MrcfaHead:
    """A small head in evaluation mode with norms that matter, and affinities that single out."""
    torch.manual_seed(0)
    head = MrcfaHead(CHANNELS, 3, embed_dim=7, deep=deep, keep_ratio=keep_ratio).eval()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 1, 3)
            nn.init.normal_(module.bias)
    return head


def make_stages(height: int, width: int, batch: int = 1) -> list[list[Tensor]]:
    """Stages of four frames; `height` and `width` are those of stage 1."""
    generator = torch.Generator().manual_seed(1)
    return [
        [
            torch.randn(batch, c, ceil(height / 2**i), ceil(width / 2**i), generator=generator)
            for i, c in enumerate(CHANNELS)
        ]
        for _ in range(4)
    ]


def features(head: MrcfaHead, stages: list[list[Tensor]]) -> list[FrameFeatures]:
    return [head.frame_features(frame) for frame in stages]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("size", "keep_ratio"),
    [
        ((24, 32), 0.5),  # all reductions are exact
        ((24, 32), 0.8),
        ((26, 34), 0.5),  # stage 4 is larger than the grid of tokens
        ((21, 29), 0.5),  # so is what stage 3 is reduced to
        ((5, 6), 0.5),  # stage 2 is smaller than a token
    ],
)
@torch.no_grad()
def test_equals_the_slow_reading(size, keep_ratio, deep):
    head, stages = make_head(deep=deep, keep_ratio=keep_ratio), make_stages(*size)
    weights = {name: value.double().numpy() for name, value in head.state_dict().items()}
    frames = [[stage[0].double().numpy() for stage in frame] for frame in stages]
    seen = features(head, stages)
    for mine, frame in zip(seen, frames, strict=True):
        expected = oracle.frame_logits(weights, frame)
        np.testing.assert_allclose(head.frame_logits(mine)[0], expected, atol=1e-4, rtol=0)
    expected = oracle.clip_logits(weights, frames, keep_ratio)
    for mine, wanted in zip(head.clip_logits_all(seen), expected, strict=True):
        np.testing.assert_allclose(mine[0], wanted, atol=1e-4, rtol=0)
    np.testing.assert_allclose(head.clip_logits(seen)[0], expected[-1], atol=1e-4, rtol=0)


@torch.no_grad()
def test_batch_equals_one_by_one():
    head, stages = make_head(deep=True), make_stages(29, 45, batch=2)
    together = head.clip_logits(features(head, stages))
    for i in range(2):
        alone = head.clip_logits(features(head, [[s[i : i + 1] for s in f] for f in stages]))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_references_matter_and_their_order_does_not():
    head, stages = make_head(), make_stages(32, 40)
    first, second, third, target = features(head, stages)
    logits = head.clip_logits([first, second, third, target])
    shuffled = head.clip_logits([third, first, second, target])
    torch.testing.assert_close(logits, shuffled, atol=1e-5, rtol=0)
    assert (logits - head.clip_logits([first, first, first, target])).abs().max() > 0.01


@torch.no_grad()
def test_final_classifier_reads_the_clip_features():
    head, stages = make_head(), make_stages(29, 45)
    seen = features(head, stages)
    read = head.clip_features(seen)
    assert read.shape == (1, 7, 15, 23)
    logits = nn.functional.interpolate(head.deco4(read), size=(29, 45), mode="bilinear")
    torch.testing.assert_close(logits, head.clip_logits(seen))
    torch.testing.assert_close(head.linear_pred(seen[0].fused), head.frame_logits(seen[0]))


@torch.no_grad()
def test_without_reduction_the_target_keeps_its_full_map():
    head, stages = make_head(), make_stages(21, 29)
    full = MrcfaHead(CHANNELS, 3, embed_dim=7, reduction=1).eval()
    full.load_state_dict(head.state_dict())
    seen = features(head, stages)
    found = head.clip_features(seen) - seen[-1].target[1]
    found = nn.functional.interpolate(found, size=(21, 29), mode="bilinear")
    read = full.clip_features(features(full, stages))
    torch.testing.assert_close(read, found + seen[-1].fused, atol=1e-5, rtol=0)


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.sampled_from([0.1, 0.5, 1.0]))
@torch.no_grad()
def test_any_size_works(height, width, deep, keep_ratio):
    head = make_head(deep=deep, keep_ratio=keep_ratio)
    seen = features(head, make_stages(height, width, batch=2))
    for logits in (head.frame_logits(seen[0]), *head.clip_logits_all(seen)):
        assert logits.shape == (2, 3, height, width)
        assert logits.isfinite().all()


@pytest.mark.parametrize("deep", [False, True])
def test_gradients_reach_every_parameter(deep):
    head = make_head(deep=deep).train()
    seen = features(head, make_stages(32, 40, batch=2))
    labels = torch.randint(3, (2, 32, 40))
    outputs = [*(head.frame_logits(frame) for frame in seen), *head.clip_logits_all(seen)]
    losses = [nn.functional.cross_entropy(logits, labels) for logits in outputs]
    torch.stack(losses).sum().backward()
    for name, parameter in head.named_parameters():
        if name.endswith("proj.bias") or (name.endswith("conv2.bias") and parameter.numel() == 1):
            continue  # the norm that follows takes such a constant away again
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-6, name
