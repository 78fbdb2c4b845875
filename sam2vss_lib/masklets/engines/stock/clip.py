"""The masklets of one clip by stock sam2 calls alone: the oracle of the fast engine."""

import logging
from collections.abc import Mapping

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.engines.visible import visible_parts
from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.masklets.writer import ClipWriter

_log = logging.getLogger(__name__)


class StockEngine:
    """Stock sam2 calls alone; a `MaskletEngine`."""

    def __init__(
        self, model: Sam2Model, settings: MaskletSettings, max_objects_per_batch: int | None
    ) -> None:
        self._model, self._generator = model, ProposalGenerator(model, settings)

    def write_clip(self, clip: Clip, writers: Mapping[MaskletSettings, ClipWriter]) -> Work:
        """Compute a clip's masklets window by window; the last window may be shorter."""
        ((settings, writer),) = writers.items()
        work = Work()
        for window, anchor in enumerate(range(0, clip.num_frames, settings.window)):
            indices = range(anchor, min(anchor + settings.window, clip.num_frames))
            # sam2 reads the files itself, but neither names a bad one nor compares sizes
            images = [clip.frame(i) for i in indices]
            found = self._generator(images[0])
            work.prompts += settings.points_per_side**2
            work.image_encodings += 1
            if not len(found.masks):
                _log.info("%s: no proposal on frame %d", clip.name, anchor)
                continue
            paths = [clip.frame_path(i) for i in indices]
            for part in propagate(self._model, paths, found.masks, precision=settings.precision):
                work.image_encodings += 1
                work.object_frames += len(found.masks)
                writer.add(
                    mask_columns((part.logits > 0).cpu().numpy()),
                    encode_masks(visible_parts(part.logits).cpu().numpy()),
                    window=window,
                    anchor=anchor,
                    frame=anchor + part.offset,
                    predicted_iou=found.predicted_iou,
                    stability=found.stability,
                    object_score=part.object_score,
                )
        return work
