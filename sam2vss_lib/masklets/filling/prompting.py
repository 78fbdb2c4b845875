"""What SAM2 proposes where nothing covers, and which of it becomes a masklet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.grid import Candidates, propose, survivors
from sam2vss_lib.masklets.engines.batched.segments import propose_segments
from sam2vss_lib.masklets.filling.places import NOWHERE, Part, inner_points, parts_of
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings

_BITS = np.array([number.bit_count() for number in range(256)], np.uint8)


class Prompted(NamedTuple):
    """What came of the prompts on one frame."""

    proposals: Proposals  # those that cover most anew first
    prompts: int


class Prompter:
    """Prompts where nothing covers, by the settings of the fill and of the masklets it is for."""

    def __init__(self, model: Sam2Model, masklets: MaskletSettings, settings: FillSettings) -> None:
        self._model, self._settings = model, settings
        thresholds = {
            "pred_iou_thresh": settings.fill_pred_iou_thresh,
            "stability_score_thresh": settings.fill_stability_score_thresh,
        }
        self._loosest = masklets.model_copy(update=thresholds)

    def places(self, covered: NDArray[np.bool_], labels: Labels | None) -> list[Part]:
        """The parts of a frame to prompt in: of what is not covered, (H, W), and of one label.

        Labels are (H, W) uint8, 255 being none, or None where the grid prompts.
        """
        groups = np.where(covered, NOWHERE, 0 if labels is None else labels.astype(int))
        if labels is not None:
            groups[labels == VOID] = NOWHERE
        min_px = self._settings.fill_min_share * covered.size
        return [*parts_of(groups, min_px, self._settings.fill_min_depth_px)]

    def propose(
        self, features: EncodedFrames, covered: NDArray[np.bool_], parts: Sequence[Part]
    ) -> Prompted:
        """Prompt in the parts, at least one, of a frame; features are in the "image" resizing."""
        size_px, settings = (covered.shape[0], covered.shape[1]), self._settings
        side, depth_px = settings.fill_points_per_side, settings.fill_min_depth_px
        points = np.concatenate([inner_points(part, size_px, side, depth_px) for part in parts])
        candidates = propose(self._model, features, size_px, self._loosest, points)
        if settings.prompts == "predictions":
            inner = np.stack([part.innermost_xy for part in parts])
            masks = np.stack([part.in_frame(size_px) for part in parts])
            whole = propose_segments(self._model, features, masks, inner, self._loosest)
            candidates = candidates.and_those_of(whole)
        index = self._chosen(candidates, covered)
        found = Proposals(candidates.masks(index), *candidates.scores(index))
        return Prompted(found, len(points) + len(parts) * (settings.prompts == "predictions"))

    def _chosen(self, candidates: Candidates, covered: NDArray[np.bool_]) -> Tensor:
        """Indices of the candidates that become masklets.

        One by one, that which covers most anew is taken, weighed by the share of it that is new:
        neither duplicates nor what mostly lies on covered pixels come through, and few masklets
        cover much. Where nothing new is demanded, duplicates are suppressed as among a grid's.
        """
        if not self._settings.fill_min_new:
            return survivors(candidates, self._loosest)
        packed, left = candidates.packed.cpu().numpy(), np.packbits(~covered, bitorder="little")
        area, chosen = _count(packed), list[int]()
        least = np.maximum(area, self._settings.fill_min_share * covered.size)
        while len(packed):
            new = _count(packed & left)
            gain = np.where(new >= self._settings.fill_min_new * least, new**2 / least, 0)
            best = int(gain.argmax())
            if not gain[best]:
                break
            chosen.append(best)
            left &= ~packed[best]
        return torch.tensor(chosen, dtype=torch.long, device=candidates.packed.device)


def _count(packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of packed masks, (n,)."""
    return _BITS[packed].sum(1, dtype=np.int64)
