"""A frame to encode."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """(96, 128, 3) uint8: blobs of colour; both sides are multiples of 32."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC))
