"""The masklets of one clip by stock sam2 calls alone: the oracle of the fast engine."""

from __future__ import annotations

import logging

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.rows import encode_masks, mask_columns, visible_parts
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import ClipWriter
from sam2vss_lib.masklets.work import Work

_log = logging.getLogger(__name__)


def write_clip(clip: Clip, model: Sam2Model, settings: MaskletSettings, writer: ClipWriter) -> Work:
    """Compute a clip's masklets window by window; the last window may be shorter.

    Args:
        clip: the clip.
        model: the SAM2 model.
        settings: windows, grid and thresholds.
        writer: takes the rows.

    Returns:
        What it took.

    Raises:
        DataError: a frame cannot be read or has another size.
    """
    work, generator = Work(), ProposalGenerator(model, settings)
    for window, anchor in enumerate(range(0, clip.num_frames, settings.window)):
        indices = range(anchor, min(anchor + settings.window, clip.num_frames))
        # sam2 reads the files itself, but neither reports a bad one in a line nor compares sizes
        images = [clip.frame(i) for i in indices]
        found = generator(images[0])
        work.prompts += settings.points_per_side**2
        work.image_encodings += 1
        if not len(found.masks):
            _log.info("%s: no proposal on frame %d", clip.name, anchor)
            continue
        paths = [clip.frame_path(i) for i in indices]
        for part in propagate(model, paths, found.masks, precision=settings.precision):
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
