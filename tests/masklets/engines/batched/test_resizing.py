"""Frames resized on the device are those that stock sam2 has Pillow resize, to the bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam2vss_lib.masklets.engines.batched import resizing
from sam2vss_lib.masklets.engines.batched.encoder import encode, model_input
from sam2vss_lib.masklets.engines.batched.resizing import pillows_order, resize_bicubic
from sam2vss_lib.masklets.sam2 import Sam2Model

side = st.integers(1, 70)


def noise(size_px: tuple[int, int], *, black_and_white: bool, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if black_and_white:  # where sums leave 0 to 255
        return (rng.integers(0, 2, (*size_px, 3)) * 255).astype(np.uint8)
    return rng.integers(0, 256, (*size_px, 3), np.uint8)


@given(st.tuples(side, side), side, st.booleans(), st.integers(0, 9))
def test_resizing_is_pillows(
    size_px: tuple[int, int], new_px: int, black_and_white: bool, seed: int
) -> None:
    image = noise(size_px, black_and_white=black_and_white, seed=seed)
    axes = pillows_order(size_px, new_px)
    assert axes is not None
    found = resize_bicubic(torch.from_numpy(image)[None], new_px, axes)[0]
    expected = np.array(Image.fromarray(image).resize((new_px, new_px)))
    if len(set(axes)) == 2 and min(size_px) > 3:  # so small, noise may not tell the orders apart
        assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("size_px", [(480, 853), (720, 1280), (1080, 1920), (853, 480)])
def test_usual_frames_are_resized_as_pillow_does(size_px: tuple[int, int]) -> None:
    axes = pillows_order(size_px, 256)
    assert axes is not None
    image = noise(size_px, black_and_white=True, seed=1)
    found = resize_bicubic(torch.from_numpy(image)[None], 256, axes)[0]
    assert np.array_equal(found.numpy(), np.array(Image.fromarray(image).resize((256, 256))))


def test_another_pillow_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resizing, "_BITS", 8)
    resizing._weights.cache_clear()
    pillows_order.cache_clear()
    assert pillows_order((40, 60), 32) is None
    resizing._weights.cache_clear()
    pillows_order.cache_clear()


def test_frames_are_encoded_as_they_are(demo_model: Sam2Model) -> None:
    frames = [noise((48, 80), black_and_white=False, seed=seed) for seed in range(2)]
    side_px = demo_model.predictor.image_size
    expected = encode(demo_model, [model_input(frame, side_px, "video") for frame in frames])
    found = encode(demo_model, [torch.from_numpy(frame) for frame in frames])
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
