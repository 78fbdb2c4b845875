"""Pooling (Eq. 3): against a per-pixel oracle, and by its properties."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.features import MaskletPool, pool_features
from tests.oracles import pooling as oracle

sides = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, *shapes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Random features and masks of the given shapes; some masks are empty or of few pixels."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=shapes[0]).astype(np.float32)
    density = rng.choice([0.0, 0.1, 0.9], (shapes[1][0], 1, 1))
    return torch.from_numpy(features), torch.from_numpy(rng.random(shapes[1]) < density)


@given(seeds, st.integers(1, 3), st.integers(0, 3), sides, sides, sides, sides)
def test_as_pixel_by_pixel(
    seed: int, dim: int, count: int, h: int, w: int, height: int, width: int
) -> None:
    features, masks = draw(seed, (dim, h, w), (count, height, width))
    mean, weight = pool_features(features, masks)
    assert mean.shape == (count, dim)
    assert mean.dtype == torch.float32
    for i, mask in enumerate(masks.numpy()):
        expected, pixels = oracle.pool([(features.numpy(), mask)])
        assert weight[i] == pixels
        wanted = np.zeros(dim) if expected is None else expected
        np.testing.assert_allclose(mean[i], wanted, rtol=1e-5, atol=1e-5)


@given(seeds, st.integers(1, 4), sides, sides)
def test_window_as_pixel_by_pixel(seed: int, frames: int, h: int, height: int) -> None:
    pool, seen = MaskletPool(), list[tuple[np.ndarray, np.ndarray]]()
    for t in range(frames):
        features, masks = draw(seed + t, (2, h, 3), (2, height, 5))
        pool.add(features, masks)
        seen.append((features.numpy(), masks.numpy()))
    mean, weight = pool.result()
    for i in range(2):
        expected, pixels = oracle.pool([(features, masks[i]) for features, masks in seen])
        assert weight[i] == pixels
        wanted = np.zeros(2) if expected is None else expected
        np.testing.assert_allclose(mean[i], wanted, rtol=1e-5, atol=1e-5)


def test_on_the_masks_own_grid_it_is_the_plain_mean() -> None:
    features, _ = draw(1, (4, 9, 7), (1, 9, 7))
    masks = torch.from_numpy(np.random.default_rng(1).random((3, 9, 7)) < 0.5)
    mean, _ = pool_features(features, masks)
    for i, mask in enumerate(masks):
        assert torch.allclose(mean[i], features[:, mask].mean(1), atol=1e-6)


def test_one_pixel_has_the_features_of_its_cell() -> None:
    features = torch.arange(6.0).reshape(1, 2, 3)
    masks = torch.zeros((1, 480, 853), dtype=torch.bool)
    masks[0, 479, 852] = True
    pooled = pool_features(features, masks)
    assert pooled.weight.tolist() == [1]
    assert pooled.mean[0, 0].item() == pytest.approx(5)


def test_many_masks_are_pooled_as_one_by_one() -> None:
    features, masks = draw(2, (3, 4, 5), (70, 12, 13))
    mean, weight = pool_features(features, masks)
    single = [pool_features(features, mask[None]) for mask in masks]
    assert torch.equal(weight, torch.cat([one.weight for one in single]))
    assert torch.allclose(mean, torch.cat([one.mean for one in single]), atol=1e-6)


def test_half_precision_features_are_summed_in_single_precision() -> None:
    features = torch.full((1, 2, 2), 1000.0, dtype=torch.float16)
    mean, _ = pool_features(features, torch.ones((1, 40, 40), dtype=torch.bool))
    assert mean.tolist() == [[1000.0]]


GOOD = (torch.zeros(2, 3, 3), torch.zeros((1, 6, 6), dtype=torch.bool))


@pytest.mark.parametrize(
    ("features", "masks", "message"),
    [
        (GOOD[0][0], GOOD[1], "features are torch.float32 \\(3, 3\\)"),
        (GOOD[0].int(), GOOD[1], "features are torch.int32"),
        (GOOD[0], GOOD[1].float(), "masks are torch.float32"),
        (GOOD[0], GOOD[1][0], "masks are torch.bool \\(6, 6\\)"),
        (GOOD[0], GOOD[1].to("meta"), "masks are on meta, features on cpu"),
    ],
)
def test_other_tensors_are_refused(
    features: torch.Tensor, masks: torch.Tensor, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        pool_features(features, masks)


def test_a_pool_is_of_one_window() -> None:
    pool = MaskletPool()
    with pytest.raises(SettingsError, match="no frame was pooled"):
        pool.result()
    pool.add(*GOOD)
    with pytest.raises(SettingsError, match="one pool per window"):
        pool.add(GOOD[0], GOOD[1].repeat(2, 1, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_on_cuda() -> None:
    features, masks = draw(3, (256, 64, 64), (40, 480, 853))
    here, there = pool_features(features, masks), pool_features(features.cuda(), masks.cuda())
    assert torch.equal(here.weight, there.weight.cpu())
    assert torch.allclose(here.mean, there.mean.cpu(), atol=1e-4)
