"""Real label maps: a ground truth shifted by three pixels, against the oracles."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2vss_lib.metrics import VOID
from tests.metrics.clips import Maps
from tests.metrics.test_oracles import check_against_oracles

CAMVID = Path(__file__).parents[3] / "shared" / "data" / "camvid" / "data"

pytestmark = pytest.mark.skipif(not CAMVID.is_dir(), reason="no CamVid clips beside the checkout")


def ground_truths(clip: str, frames: int) -> Maps:
    """(60, 80) label maps: every sixth pixel, file labels 1..11 to 0..10 and void to 255."""
    paths = sorted((CAMVID / clip / "mask").glob("*.png"))[:frames]
    # In uint8, 0 - 1 wraps to the 255 that void is inside the library.
    return [np.array(Image.open(path))[::6, ::6] - np.uint8(1) for path in paths]


def test_shifted_real_ground_truth_agrees_with_the_oracles() -> None:
    clips = {}
    for folder in sorted(CAMVID.iterdir()):
        truths = ground_truths(folder.name, 4)
        assert any((truth == VOID).any() for truth in truths)
        clips[folder.name] = ([np.roll(truth, 3, axis=1) for truth in truths], truths)
    check_against_oracles(clips, 11, window_lengths=(2, 4), radii_px=(2, 5))
