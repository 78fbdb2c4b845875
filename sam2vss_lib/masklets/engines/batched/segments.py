"""Proposals of segments: each prompts by a point, a box and itself as a mask, all at once."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.given import given_logits, given_masks
from sam2vss_lib.masklets.engines.batched.grid import Candidates, model_points, stable_candidates
from sam2vss_lib.masklets.engines.batched.running import in_halves
from sam2vss_lib.masklets.proposals import passes_iou
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings

_LABELS = (2, 3, 1)  # sam2's: the corners of a box, top left and bottom right, and a point inside


def propose_segments(
    model: Sam2Model,
    features: EncodedFrames,
    masks: NDArray[np.bool_],
    points_xy: NDArray[np.float64],
    loosest: MaskletSettings,
) -> Candidates:
    """Make the three masks of every segment, as stock `SAM2ImagePredictor._predict` does.

    Segments are (n, H, W), n > 0, none empty, each with a point inside, (n, 2); features are the
    frame's, in the "image" resizing. `loosest` says precision and thresholds.

    Raises:
        RunError: the device has too little memory for a single segment.
    """
    height, width = masks.shape[1:]
    boxes = [(x.min(), y.min(), x.max(), y.max()) for y, x in map(np.nonzero, masks)]
    prompts_xy = np.concatenate([np.array(boxes, float), points_xy], 1).reshape(-1, 3, 2)

    def decoded() -> Iterator[tuple[Tensor, Tensor]]:
        points = model_points(prompts_xy, (height, width), model.predictor.image_size)
        points = points.to(model.device)

        def run(some: Tensor) -> tuple[Tensor, Tensor]:
            logits, predicted_iou = _decode(model, features, masks[some.numpy()], points[some])
            passed = passes_iou(predicted_iou, loosest.pred_iou_thresh)
            return logits[passed][:, None].float(), predicted_iou[passed]

        for batch in torch.arange(len(masks)).split(loosest.points_per_batch):
            yield from in_halves(run, batch, "a segment")

    with torch.inference_mode(), model.autocast(loosest.precision):
        return stable_candidates(decoded(), (height, width), loosest)


def _decode(
    model: Sam2Model, features: EncodedFrames, masks: NDArray[np.bool_], points: Tensor
) -> tuple[Tensor, Tensor]:
    """(n, 3, S/4, S/4) logits and (n, 3) predicted IoU of n prompts."""
    predictor = model.predictor
    labels = torch.tensor(_LABELS, dtype=torch.int, device=points.device).expand(len(points), -1)
    sparse, dense = predictor.sam_prompt_encoder(
        points=(points, labels), boxes=None, masks=given_logits(given_masks(masks, predictor))
    )
    image = features.s16
    if predictor.directly_add_no_mem_embed:
        image = image + predictor.no_mem_embed.view(1, -1, 1, 1)
    fine = [features.s4, features.s8] if predictor.use_high_res_features_in_sam else None
    logits, predicted_iou, _, _ = predictor.sam_mask_decoder(
        image_embeddings=image,
        image_pe=predictor.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
        repeat_image=True,
        high_res_features=fine,
    )
    return logits, predicted_iou
