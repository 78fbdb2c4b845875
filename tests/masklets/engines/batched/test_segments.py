"""Prompts of segments: the masks and scores of stock's own image predictor."""

import numpy as np
import pytest
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor

from sam2vss_lib.masklets.engines.batched.encoder import encode, model_input
from sam2vss_lib.masklets.engines.batched.segments import propose_segments
from sam2vss_lib.masklets.sam2 import Sam2Model, without_script_warning
from sam2vss_lib.masklets.settings import MaskletSettings
from tests.masklets.engines.batched.test_tracker import SAM2, scene, some_masks, with_options

EVERYTHING = MaskletSettings(pred_iou_thresh=0, stability_score_thresh=0, points_per_batch=3)
SIZE = (120, 160)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("options", [{}, SAM2], ids=["demo", "sam2"])
def test_equal_to_stock(demo_model: Sam2Model, options: dict[str, object]) -> None:
    model = with_options(demo_model, options) if options else demo_model
    image = scene(SIZE)[0]
    masks = np.array([mask for mask in some_masks(SIZE, 7) if mask.any()])
    points = np.array([[x.mean() + 0.5, y.mean() + 0.5] for y, x in map(np.nonzero, masks)])

    with without_script_warning():
        stock = SAM2ImagePredictor(model.predictor)
    side = model.predictor.image_size
    stock._bb_feat_sizes = [(side // s, side // s) for s in (4, 8, 16)]
    stock.set_image(image)
    expected = []
    for mask, point in zip(masks, points, strict=True):
        y, x = np.nonzero(mask)
        low = torch.from_numpy(mask)[None, None].float()
        for size in (side, side // 4):  # as stock brings a mask that is given to its own size
            low = torch.nn.functional.interpolate(
                low, (size, size), mode="bilinear", antialias=True
            )
            low = (low >= 0.5).float() * 20 - 10 if size == side else low
        expected.append(
            stock.predict(
                point_coords=point[None],
                point_labels=np.ones(1),
                box=np.array([x.min(), y.min(), x.max(), y.max()]),
                mask_input=low[0].numpy(),
            )[:2]
        )

    features = encode(model, [model_input(image, side, "image")])
    found = propose_segments(model, features, masks, points, EVERYTHING)
    every = torch.arange(3 * len(masks))
    assert len(found.packed) == len(every)
    wanted = np.concatenate([masks for masks, _ in expected]).astype(bool)
    assert (found.masks(every) != wanted).sum() <= 1e-4 * wanted.size
    scores = np.concatenate([scores for _, scores in expected])
    np.testing.assert_allclose(found.scores(every)[0], scores, rtol=0, atol=1e-5)
