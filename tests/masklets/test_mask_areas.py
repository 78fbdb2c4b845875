"""Areas counted on run lengths equal those counted on pixels, for any number of masks."""

import numpy as np
import pytest

from sam2vss_lib.masklets.rows import encode_masks, mask_areas


@pytest.mark.parametrize("count", [0, 1, 255, 256, 600])
def test_areas_are_those_of_the_pixels(count: int):
    masks = np.random.default_rng(count).random((count, 12, 13)) < 0.4
    rles = encode_masks(masks) if count else []
    np.testing.assert_array_equal(mask_areas(rles, 12, 13), masks.sum((1, 2)))
