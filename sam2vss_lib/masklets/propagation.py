"""Propagation of masks through a window: sam2's own video predictor, called unchanged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.masklets.sam2 import Sam2Model, quiet_sam2


class FrameMasks(NamedTuple):
    """The masklets of a window on one frame.

    Attributes:
        offset: frame within the window, 0 is the anchor.
        logits: (n, H, W) float32 on the model's device; a pixel belongs to a masklet where > 0.
        object_score: (n,) float32 logit of the object being present.
    """

    offset: int
    logits: Tensor
    object_score: NDArray[np.float32]


def propagate(
    model: Sam2Model,
    frame_paths: Sequence[Path],
    masks: NDArray[np.bool_],
    *,
    precision: str = "float32",
) -> Iterator[FrameMasks]:
    """Carry masks from a window's first frame to its last.

    The predictor sees a folder holding the window's frames only, so its memory is bounded by the
    window and not by the clip.

    Args:
        model: the SAM2 model.
        frame_paths: image files of the window, in order.
        masks: (n, H, W) masks on the first frame, n > 0.
        precision: "float32" or "bfloat16" (autocast).

    Yields:
        One `FrameMasks` per frame of the window, the first included.
    """
    predictor = model.predictor
    with (
        tempfile.TemporaryDirectory(prefix="sam2vss-window-") as folder,
        quiet_sam2(),
        torch.inference_mode(),
        model.autocast(precision),
    ):
        for offset, path in enumerate(frame_paths):
            (Path(folder) / f"{offset:06d}.jpg").symlink_to(path.resolve())
        state = predictor.init_state(folder)
        for index, mask in enumerate(masks):
            predictor.add_new_mask(state, frame_idx=0, obj_id=index, mask=mask)
        for offset, _, logits in predictor.propagate_in_video(state):
            scores = [
                outputs["cond_frame_outputs" if offset == 0 else "non_cond_frame_outputs"][offset][
                    "object_score_logits"
                ]
                for outputs in state["output_dict_per_obj"].values()
            ]
            score = torch.cat(scores).flatten().float().cpu().numpy()
            yield FrameMasks(offset, logits[:, 0].float(), score)
