"""Automatic proposals on one frame: sam2's own point-grid generator, called unchanged."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.sam2 import Sam2Model, without_script_warning
from sam2vss_lib.masklets.settings import MaskletSettings


class ProposalGenerator:
    """Stock `SAM2AutomaticMaskGenerator` with grid, thresholds and batch size of the settings."""

    def __init__(self, model: Sam2Model, settings: MaskletSettings) -> None:
        self._model, self._settings = model, settings
        with without_script_warning():
            self._generator = SAM2AutomaticMaskGenerator(
                model.predictor,
                points_per_side=settings.points_per_side,
                points_per_batch=settings.points_per_batch,
                pred_iou_thresh=settings.pred_iou_thresh,
                stability_score_thresh=settings.stability_score_thresh,
                stability_score_offset=settings.stability_score_offset,
                box_nms_thresh=settings.box_nms_thresh,
            )
        # stock assumes 1024 px inputs; these are the sizes of any model, and the same at 1024 px
        predictor: Any = self._generator.predictor
        side = model.predictor.image_size
        predictor._bb_feat_sizes = [(side // s, side // s) for s in (4, 8, 16)]

    def __call__(self, image: NDArray[np.uint8]) -> Proposals:
        """Propose masks on an (H, W, 3) uint8 RGB image."""
        with torch.inference_mode(), self._model.autocast(self._settings.precision):
            found = self._generator.generate(image)
        return Proposals(
            np.array([m["segmentation"] for m in found], bool).reshape(-1, *image.shape[:2]),
            np.array([m["predicted_iou"] for m in found], np.float32),
            np.array([m["stability_score"] for m in found], np.float32),
        )
