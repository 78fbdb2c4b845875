"""SAM2's encoder: the default level is what stock sam2 gives its mask decoder."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders import encoder_identity, load_encoder, sam2_encoder
from sam2vss_lib.isam2.encoders.sam2 import Sam2Level
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2, without_script_warning

LEVELS = get_args(Sam2Level)


@pytest.fixture(scope="module")
def model() -> Sam2Model:
    return load_sam2("demo")


def test_default_level_is_stocks_image_embedding(model: Sam2Model, image: np.ndarray) -> None:
    with without_script_warning():
        stock: Any = SAM2ImagePredictor(model.predictor)
    side = model.predictor.image_size
    stock._bb_feat_sizes = [(side // s, side // s) for s in (4, 8, 16)]  # stock's are of 1024 px
    stock.set_image(image)
    embedding = stock._features["image_embed"][0] - model.predictor.no_mem_embed.reshape(-1, 1, 1)
    assert torch.allclose(sam2_encoder(model).encode(image), embedding, atol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_has_the_width_and_stride_it_says(
    model: Sam2Model, image: np.ndarray, level: Sam2Level
) -> None:
    encoder = sam2_encoder(model, level)
    found = encoder.encode(image)
    side = model.predictor.image_size // encoder.stride
    assert found.shape == (encoder.dim, side, side)
    assert found.dtype == torch.float32
    assert encoder.name == f"sam2:demo@{level}"


def test_all_levels_stacked(model: Sam2Model, image: np.ndarray) -> None:
    stack = sam2_encoder(model, "fpn").encode(image)
    parts = [sam2_encoder(model, level).encode(image) for level in ("fpn4", "fpn8", "fpn16")]
    repeated = [
        p.repeat_interleave(f, 1).repeat_interleave(f, 2)
        for p, f in zip(parts, (1, 2, 4), strict=True)
    ]
    assert torch.allclose(stack, torch.cat(repeated), atol=1e-5)


def test_identity_tells_levels_apart(model: Sam2Model) -> None:
    hashes = [encoder_identity(sam2_encoder(model, level))["sha256"] for level in LEVELS]
    assert len(set(hashes)) == len(LEVELS)
    assert load_encoder("sam2:demo").sha256 == hashes[LEVELS.index("fpn16")]
    assert load_encoder("sam2:demo@trunk32").sha256 == hashes[LEVELS.index("trunk32")]


def test_unknown_level_and_other_images_are_refused(model: Sam2Model, image: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="unknown level 'fpn32' of SAM2's encoder; known are"):
        load_encoder("sam2:demo@fpn32")
    with pytest.raises(SettingsError, match=r"float32 \(96, 128, 3\), not uint8"):
        sam2_encoder(model).encode(image.astype(np.float32))  # type: ignore[arg-type]
