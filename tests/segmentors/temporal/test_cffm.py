"""CFFM's head: published layout, equality with the slow reading, sizes, batches, gradients."""

from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.temporal.cffm import VARIANTS, CffmHead
from sam2vss_lib.segmentors.temporal.clip_head import FrameFeatures
from sam2vss_lib.segmentors.temporal.focal_attention import FocalGeometry, key_index
from tests.oracles import cffm as oracle
from tests.segmentors.published import published_cffm

CHANNELS = (3, 4, 5, 6)
FOCUSES = (
    (FocalGeometry(), oracle.Focus()),
    (FocalGeometry(4, 1, 3, (2, 1), (5, 3)), oracle.Focus(4, 1, (1, 3), ((2, 5), (1, 3)), 1)),
)


@pytest.mark.parametrize(
    ("name", "channels", "depth"),
    [
        ("mit_b0", (32, 64, 160, 256), 1),
        ("mit_b1", (64, 128, 320, 512), 2),
        ("mit_b2", (64, 128, 320, 512), 2),
        ("mit_b5", (64, 128, 320, 512), 4),
    ],
)
def test_published_state_dict_loads_strictly(name, channels, depth):
    layout = published_cffm(channels, depth)
    assert sum(key.startswith("decoder_focal.blocks.0.") for key in layout) == 32
    state = {key: torch.rand(shape) for key, shape in layout.items()}
    integers = ("num_batches_tracked", "valid_ind_rolled")
    for key, shape in layout.items():
        if key.endswith(integers) or "relative_position_index" in key:
            state[key] = torch.randint(9, shape)
    head = CffmHead(**VARIANTS[name])
    own = head.state_dict()
    assert {key: own[key].dtype for key in own} == {key: state[key].dtype for key in own}
    head.load_state_dict(state)
    assert all(torch.equal(value, state[key]) for key, value in head.state_dict().items())


def random_head(
    seed: int, geometry: FocalGeometry | None = None, depth: int = 2, reduction: int = 2
) -> CffmHead:
    """A small head in float64 of which every weight and statistic matters."""
    torch.manual_seed(seed)
    head = CffmHead(
        CHANNELS, 5, 8, depth, heads=2, mlp_ratio=1.5, geometry=geometry, reduction=reduction
    )
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter.normal_(0.0, 1.0 if "table" in name else 0.5)
        for name, buffer in head.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 2.0)
    return head.double().eval()


def random_stages(
    seed: int, height: int, width: int, batch: int = 1, frames: int = 4
) -> list[list[Tensor]]:
    """Stages of some frames; each is half as large as the one before, rounded up."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(c, ceil(height / 2**i), ceil(width / 2**i)) for i, c in enumerate(CHANNELS)]
    return [
        [torch.randn(batch, *size, generator=generator, dtype=torch.float64) for size in sizes]
        for _ in range(frames)
    ]


def features_of(head: CffmHead, stages: list[list[Tensor]]) -> list[FrameFeatures]:
    return [head.frame_features(frame) for frame in stages]


def assert_equals_the_slow_reading(head, stages, focus, tolerance=1e-9):
    weights = {k: v.double().numpy() for k, v in head.state_dict().items()}
    slow_stages = [[stage[0].double().numpy() for stage in frame] for frame in stages]
    with torch.no_grad():
        frames = features_of(head, stages)
        fast = head.clip_logits(frames)[0].numpy()
        plain = head.frame_logits(frames[0])[0].numpy()
    slow = oracle.clip_logits(weights, slow_stages, focus)
    np.testing.assert_allclose(fast, slow, rtol=tolerance, atol=tolerance)
    slow = oracle.frame_logits(weights, slow_stages[0])
    np.testing.assert_allclose(plain, slow, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [(28, 28), (31, 45), (60, 16), (2, 3), (13, 90)])
def test_logits_equal_the_slow_reading(size):
    head = random_head(seed=1)
    assert_equals_the_slow_reading(head, random_stages(2, *size), oracle.Focus())


def test_float32_equals_the_slow_reading():
    stages = [[stage.float() for stage in frame] for frame in random_stages(4, 30, 40)]
    assert_equals_the_slow_reading(random_head(3).float(), stages, oracle.Focus(), 1e-4)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    height=st.integers(2, 33),
    width=st.integers(2, 33),
    which=st.sampled_from(FOCUSES),
)
def test_any_size_equals_the_slow_reading(seed, height, width, which):
    geometry, focus = which
    head = random_head(seed, geometry, 1, focus.reduction)
    stages = random_stages(seed, height, width, frames=len(focus.references) + 1)
    assert_equals_the_slow_reading(head, stages, focus)


def test_every_window_attends_to_itself_first_and_to_nothing_outside():
    geometry = FocalGeometry()
    rows, columns = 3, 4
    index = key_index(geometry, geometry.ring(), rows, columns)
    outside = rows * columns * (49 + 1 + 1 + 4 + 9)
    assert index.shape == (12, 49 + 132 + 25 + 49 + 25 + 9)
    assert torch.equal(index[:, :49], torch.arange(12 * 49).view(12, 49))
    ring = index[:, 49:181]
    assert ring.max() < 12 * 49  # it wraps around
    assert all(len(window.unique()) == 120 for window in ring)  # 13 x 13 less 7 x 7
    # the square of 5 x 5 pooled windows around window (1, 1), on a map of 3 x 4
    assert (index[5, 181:206] == outside).sum() == 25 - 3 * 4
    assert index.max() == outside


def test_many_windows_in_a_batch_equal_one_clip_at_a_time():
    head = random_head(5)
    stages = random_stages(6, 90, 110, batch=2)  # 7 x 8 windows of each
    with torch.no_grad():
        together = head.clip_logits(features_of(head, stages))
        for i in range(2):
            one = [[stage[i : i + 1] for stage in frame] for frame in stages]
            alone = head.clip_logits(features_of(head, one))
            torch.testing.assert_close(together[i : i + 1], alone)


def test_features_for_eq_3_are_the_plain_and_the_refined_target():
    head = random_head(7)
    frames = features_of(head, random_stages(8, 31, 18))
    features = head.clip_features(frames)
    assert features.shape == (1, 16, 15, 9)
    assert torch.equal(features[:, :8], frames[-1].shared[0])
    assert frames[-1].fused.shape == (1, 8, 31, 18)


def test_each_reference_has_its_own_place():
    head = random_head(9)
    *references, target = features_of(head, random_stages(10, 31, 45))
    logits = head.clip_logits([*references, target])
    for i in range(3):
        others = list(references)
        others[i] = target
        assert (head.clip_logits([*others, target]) - logits).abs().max() > 1e-3
    swapped = head.clip_logits([references[1], references[0], references[2], target])
    assert (swapped - logits).abs().max() > 1e-3


def test_training_reaches_every_parameter():
    head = random_head(11).float().train()
    stages = [[stage.float() for stage in frame] for frame in random_stages(12, 30, 40, batch=2)]
    frames = features_of(head, stages)
    loss = sum(head.frame_logits(frame).square().mean() for frame in frames)
    (loss + head.clip_logits(frames).square().mean()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_bfloat16_stays_close():
    head = random_head(13).float()
    stages = [[stage.float() for stage in frame] for frame in random_stages(14, 30, 40)]
    with torch.no_grad():
        wanted = head.clip_logits(features_of(head, stages))
        with torch.autocast("cpu", torch.bfloat16):
            got = head.clip_logits(features_of(head, stages))
    assert (got.float() - wanted).norm() < 0.05 * wanted.norm()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expand": 7}, "expand 7 is not within 1..6"),
        ({"target_kernel": 4}, "level 1 with kernel 4"),
        ({"reference_levels": (1, 2, 8)}, "level 8 with kernel 3"),
        ({"reference_levels": (1, 2)}, "differ in length"),
    ],
)
def test_unusable_geometry_is_refused(arguments, message):
    with pytest.raises(SettingsError, match=message):
        FocalGeometry(**arguments)


def test_unusable_clip_or_width_is_refused():
    head = random_head(15)
    with pytest.raises(SettingsError, match="3 frames for a head of 4"):
        head.clip_logits(features_of(head, random_stages(16, 14, 14, frames=3)))
    with pytest.raises(SettingsError, match="embed_dim 9 is not a multiple of heads 2"):
        CffmHead(CHANNELS, 5, 9, heads=2)
