"""Proposals: those of sam2's own generator, in its order."""

import logging
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.sam2 import Sam2Model, without_script_warning
from sam2vss_lib.masklets.settings import MaskletSettings

SETTINGS = MaskletSettings(
    points_per_side=4,
    points_per_batch=5,
    pred_iou_thresh=0.3,
    stability_score_thresh=0.4,
    stability_score_offset=0.5,
    box_nms_thresh=0.6,
)


def test_equal_to_the_stock_generator(demo_model: Sam2Model, small_world: Dataset) -> None:
    image = small_world.clips[0].frame(0)
    with without_script_warning():
        stock = SAM2AutomaticMaskGenerator(
            demo_model.predictor,
            points_per_side=4,
            points_per_batch=5,
            pred_iou_thresh=0.3,
            stability_score_thresh=0.4,
            stability_score_offset=0.5,
            box_nms_thresh=0.6,
        )
    stock.predictor._bb_feat_sizes = [(64, 64), (32, 32), (16, 16)]  # of a model of 256 px
    expected = stock.generate(image)
    found = ProposalGenerator(demo_model, SETTINGS)(image)
    assert len(expected) > 1
    assert found.masks.shape == (len(expected), *image.shape[:2])
    assert (found.masks.dtype, found.predicted_iou.dtype) == (np.bool_, np.float32)
    assert np.array_equal(found.masks, [m["segmentation"] for m in expected])
    assert found.predicted_iou.tolist() == [m["predicted_iou"] for m in expected]
    assert found.stability.tolist() == [m["stability_score"] for m in expected]
    assert (np.diff(found.predicted_iou) <= 0).all()
    assert (found.predicted_iou > 0.3).all()
    assert (found.stability >= np.float32(0.4)).all()


def test_frame_without_proposals(demo_model: Sam2Model, small_world: Dataset) -> None:
    image = small_world.clips[0].frame(0)
    strict = SETTINGS.model_copy(update={"pred_iou_thresh": 1.0})
    found = ProposalGenerator(demo_model, strict)(image)
    assert found.masks.shape == (0, *image.shape[:2])
    assert found.predicted_iou.shape == found.stability.shape == (0,)


def test_sam2_stays_silent(
    demo_model: Sam2Model,
    small_world: Dataset,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        ProposalGenerator(demo_model, SETTINGS)(small_world.clips[0].frame(0))
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_defaults_are_the_papers() -> None:
    settings = MaskletSettings()
    assert (settings.window, settings.points_per_side) == (32, 16)
    assert (settings.pred_iou_thresh, settings.stability_score_thresh) == (0.6, 0.8)
    assert settings.stability_score_offset == 0.9


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"window": "16"},
        {"window": 16.0},
        {"points_per_side": 0},
        {"pred_iou_thresh": 1.5},
        {"stability_score_offset": float("inf")},
        {"stability_score_offset": float("nan")},
        {"precision": "float16"},
        {"fill_hole_area_px": 8},
        {"points": 16},
    ],
)
def test_unusable_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        MaskletSettings(**wrong)


def test_hash_follows_every_setting() -> None:
    changed: dict[str, Any] = {
        "window": 16,
        "points_per_side": 8,
        "pred_iou_thresh": 0.5,
        "stability_score_thresh": 0.7,
        "stability_score_offset": 0.8,
        "box_nms_thresh": 0.5,
        "points_per_batch": 32,
        "precision": "bfloat16",
        "engine": "stock",
        "share_anchor_encoding": True,
        "merge_iou": 0.8,
        "memory_stride_frames": 2,
        "recent_memories": 1,
        "compile_encoder": True,
        "compile_step": True,
        "attention_backend": "math",
        "channels_last": True,
    }
    assert set(changed) | {"fill_hole_area_px"} == set(MaskletSettings.model_fields)
    hashes = {MaskletSettings(**{key: value}).sha256() for key, value in changed.items()}
    assert len(hashes | {MaskletSettings().sha256()}) == len(changed) + 1
    whole, real = MaskletSettings(pred_iou_thresh=1), MaskletSettings(pred_iou_thresh=1.0)
    assert whole.sha256() == real.sha256()
