"""Proposals of points: every mask of a grid once, and the survivors of any stricter setting.

Equal to stock `SAM2AutomaticMaskGenerator` as `ProposalGenerator` calls it. Stock's filter of
boxes near the edge of a crop is left out: with one crop, the whole frame, it never removes any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.utils.amg import build_point_grid
from torch import Tensor
from torchvision.ops.boxes import batched_nms

from sam2vss_lib.masklets.engines.batched.drawing.frame_size import (
    PackedMasks,
    above,
    at_frame_size,
    count_pixels,
    in_parts,
    pack,
)
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.point_decoder import PointDecoder
from sam2vss_lib.masklets.engines.batched.running import in_halves
from sam2vss_lib.masklets.proposals import Proposals, passes_iou, passes_stability
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings


@dataclass(frozen=True)
class Candidates:
    """Masks of one frame and one grid before suppression of duplicates, in stock's order.

    Tensors are on the model's device. Masks are packed, as there may be 12,288 of them.
    """

    packed: Tensor  # (n, ceil(H * W / 8)) uint8, masks in row-major order, lowest bit first
    predicted_iou: Tensor  # (n,) in the precision of the model
    stability: Tensor  # (n,) float32, NaN where no logit is above minus the offset
    boxes_xyxy: Tensor  # (n, 4) int64, in pixels, last ones included; zeros for an empty mask
    size_px: tuple[int, int]  # (height, width) of the frame
    loosest: MaskletSettings  # the grid, and the loosest thresholds for which these are all

    def and_those_of(self, other: Candidates) -> Candidates:
        """These, and behind them candidates of other prompts on the same frame."""
        names = ("packed", "predicted_iou", "stability", "boxes_xyxy")
        both = {name: torch.cat([getattr(self, name), getattr(other, name)]) for name in names}
        return replace(self, **both)

    def masks(self, index: Tensor) -> NDArray[np.bool_]:
        """(k, H, W) masks of some candidates."""
        packed = PackedMasks(self.packed[index].cpu().numpy(), self.size_px)
        return packed[np.arange(len(packed))]

    def scores(self, index: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(k,) predicted IoU and stability of some candidates."""
        predicted_iou = self.predicted_iou[index].float()
        return predicted_iou.cpu().numpy(), self.stability[index].cpu().numpy()


def propose(
    model: Sam2Model,
    features: EncodedFrames,
    size_px: tuple[int, int],
    loosest: MaskletSettings,
    points_xy: NDArray[np.float64] | None = None,
) -> Candidates:
    """Make the masks of points on a frame of (height, width) px: of a grid, or of (n, 2), n > 0.

    Features are the frame's, in the "image" resizing. `loosest` says grid and precision, and
    thresholds no stricter than any of the settings that the candidates are for.

    Raises:
        RunError: the device has too little memory for a single point.
    """
    side_px = model.predictor.image_size
    if points_xy is None:
        points = grid_points(loosest, size_px, side_px)
    else:
        points = model_points(points_xy, size_px, side_px)

    def decoded() -> Iterator[tuple[Tensor, Tensor]]:
        decoder = PointDecoder(model.predictor, features)

        def run(batch: Tensor) -> tuple[Tensor, Tensor]:
            prompted = decoder.decode(batch)
            passed = passes_iou(prompted.predicted_iou, loosest.pred_iou_thresh)
            return decoder.masks(prompted, passed), prompted.predicted_iou[passed]

        for batch in points.to(model.device).split(loosest.points_per_batch):
            yield from in_halves(run, batch, "a point")

    with torch.inference_mode(), model.autocast(loosest.precision):
        return stable_candidates(decoded(), size_px, loosest)


def stable_candidates(
    decoded: Iterable[tuple[Tensor, Tensor]], size_px: tuple[int, int], loosest: MaskletSettings
) -> Candidates:
    """Gather the masks that are stable enough at `loosest`, in batches: at least one.

    Each is (k, 1, S/4, S/4) logits and the (k,) predicted IoU of masks that are good enough.
    """
    parts = [part for logits, iou in decoded for part in _stable(logits, iou, size_px, loosest)]
    packed, predicted_iou, stability, boxes = map(torch.cat, zip(*parts, strict=True))
    return Candidates(packed, predicted_iou, stability, boxes, size_px, loosest)


def survivors(candidates: Candidates, settings: MaskletSettings) -> Tensor:
    """What stock's generator proposes at `settings`, (k,) indices of candidates in stock's order.

    Raises:
        ValueError: the candidates, which may be of looser thresholds, do not hold all that the
            settings ask for.
    """
    loosest = candidates.loosest
    if (
        settings.pred_iou_thresh < loosest.pred_iou_thresh
        or settings.stability_score_thresh < loosest.stability_score_thresh
        or settings.points_per_side != loosest.points_per_side
        or settings.stability_score_offset != loosest.stability_score_offset
    ):
        raise ValueError(f"these candidates are for another grid or thresholds than {settings}")
    with torch.inference_mode():
        passed = passes_iou(candidates.predicted_iou, settings.pred_iou_thresh)
        passed &= passes_stability(candidates.stability, settings.stability_score_thresh)
        index = passed.nonzero()[:, 0]
        boxes = candidates.boxes_xyxy[index].float()
        scores = candidates.predicted_iou[index].float()
        kept = batched_nms(boxes, scores, torch.zeros_like(scores), settings.box_nms_thresh)
        return index[kept]


def select(
    candidates: Candidates, settings: MaskletSettings
) -> tuple[Proposals, NDArray[np.int64]]:
    """The `survivors` with their masks, all at once, and their indices as an array."""
    index = survivors(candidates, settings)
    found = Proposals(candidates.masks(index), *candidates.scores(index))
    return found, index.cpu().numpy()


def grid_points(settings: MaskletSettings, size_px: tuple[int, int], side_px: int) -> Tensor:
    """(n, 2) float32 points of the settings' grid on a frame, as `model_points` gives them."""
    points_xy = build_point_grid(settings.points_per_side) * np.array(size_px[::-1])
    return model_points(points_xy, size_px, side_px)


def model_points(points_xy: NDArray[np.float64], size_px: tuple[int, int], side_px: int) -> Tensor:
    """(..., 2) float32 points in pixels of a model's input, rounded where stock rounds."""
    points = torch.from_numpy(points_xy).float() / torch.from_numpy(np.array(size_px[::-1]))
    return points * side_px


def _stable(
    logits: Tensor, predicted_iou: Tensor, size_px: tuple[int, int], loosest: MaskletSettings
) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of `Candidates`, some of them at a time, that are stable enough.

    The (k, 1, S/4, S/4) logits are upsampled as stock does.
    """
    offset = loosest.stability_score_offset
    parts = zip(in_parts(logits, size_px), in_parts(predicted_iou, size_px), strict=True)
    for low, scores in parts:
        x = at_frame_size(low, size_px)
        stability = count_pixels(above(x, offset)) / count_pixels(above(x, -offset))
        # as indices: a device is asked once how many there are, not by every tensor
        stable = passes_stability(stability, loosest.stability_score_thresh).nonzero()[:, 0]
        packed = pack(above(x).flatten(1))
        yield packed[stable], scores[stable], stability[stable], _boxes(x)[stable]


def _boxes(x: Tensor) -> Tensor:
    """(k, 4) int64 boxes around positive logits, as stock `batched_mask_to_box`."""
    rows, columns = (x.amax(axis) > 0 for axis in (2, 1))
    (left, right), (top, bottom) = _ends(columns), _ends(rows)
    return torch.stack([left, top, right, bottom], 1) * rows.any(1, keepdim=True)


def _ends(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """(k,) first and last true entry of (k, m) rows."""
    rows = occupied.byte()
    return rows.argmax(1), rows.shape[1] - 1 - rows.flip(1).argmax(1)
