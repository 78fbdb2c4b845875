"""Frames are resized to the bit as OpenCV resizes them."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.segmentors.pixel_resize import resize_pixels

SIDES = st.integers(1, 40)


def _resized_columns(columns: np.ndarray, height: int, size: tuple[int, int]) -> np.ndarray:
    image = torch.from_numpy(columns.astype(np.uint8)).expand(1, 3, height, -1)
    return resize_pixels(image, size)[0, 0, size[0] // 2].numpy()


def test_stripes_stretched_to_a_multiple_of_32() -> None:
    stripes = np.where(np.arange(853) % 2, 0, 255)
    row = _resized_columns(stripes, 480, (480, 864))
    assert row[[32, 36, 48, 117, 178, 182]].tolist() == [150, 136, 97, 128, 186, 172]


def test_a_ramp_scaled_from_720p() -> None:
    row = _resized_columns(np.arange(1280) % 256, 720, (480, 853))
    assert row[[426, 428, 430, 432, 434]].tolist() == [127, 130, 133, 136, 139]


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 2**32 - 1))
def test_any_size_equals_opencv(old_h: int, old_w: int, new_h: int, new_w: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (old_h, old_w, 3), np.uint8)
    ours = resize_pixels(torch.from_numpy(image).permute(2, 0, 1)[None], (new_h, new_w))
    theirs = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(ours[0].permute(1, 2, 0).numpy(), theirs)


@pytest.mark.parametrize("old", [(480, 853), (480, 864), (720, 1280), (1080, 1920), (375, 1242)])
@pytest.mark.parametrize("new", [(480, 853), (480, 864), (512, 512)])
def test_sizes_of_real_video_equal_opencv(old: tuple[int, int], new: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*old, 3), np.uint8)
    ours = resize_pixels(torch.from_numpy(image).permute(2, 0, 1)[None], new)
    theirs = cv2.resize(image, new[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(ours[0].permute(1, 2, 0).numpy(), theirs)
