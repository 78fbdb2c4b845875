"""Propagation of masks through a window: sam2's own video predictor, called unchanged."""

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sam2 import sam2_video_predictor
from sam2.utils import misc
from torch import Tensor
from tqdm import tqdm

from sam2vss_lib.datasets.images import is_turned, read_frame
from sam2vss_lib.masklets.sam2 import Sam2Model


class FrameMasks(NamedTuple):
    """The masklets of a window on one frame."""

    offset: int  # of the frame within the window, 0 is the anchor
    logits: Tensor  # (n, H, W) float32 on the model's device; a pixel is of a masklet where > 0
    object_score: NDArray[np.float32]  # (n,) logit of the object being present


def propagate(
    model: Sam2Model,
    frame_paths: Sequence[Path],
    masks: NDArray[np.bool_],
    *,
    precision: str = "float32",
) -> Iterator[FrameMasks]:
    """Carry masks from a window's first frame to its last.

    The predictor sees a folder holding the window's frames only, so its memory is bounded by the
    window and not by the clip. Its image files are given in order, readable and of one size; the
    masks on its first frame, which comes out again, are (n, H, W), n > 0.
    """
    predictor = model.predictor
    with tempfile.TemporaryDirectory(prefix="sam2vss-window-") as folder:
        for offset, path in enumerate(frame_paths):
            # sam2 lists *.jpg only, but tells the format from the contents: a PNG is read as well
            file = Path(folder) / f"{offset:06d}.jpg"
            if is_turned(path):  # which sam2 would not see
                Image.fromarray(read_frame(path)).save(file, format="PNG")
            else:
                file.symlink_to(path.resolve())
        with _quiet_sam2(), model.autocast(precision):
            state = predictor.init_state(folder)
            for index, mask in enumerate(masks):
                predictor.add_new_mask(state, frame_idx=0, obj_id=index, mask=mask)
        steps = predictor.propagate_in_video(state)
        while True:
            # entered anew for every step, so that the caller's code between two does not run in it
            with _quiet_sam2(), torch.inference_mode(), model.autocast(precision):
                step = next(steps, None)
                if step is None:
                    return
                offset, _, logits = step
                found = FrameMasks(offset, logits[:, 0].float(), _object_scores(state, offset))
            yield found


def _object_scores(state: dict[str, Any], offset: int) -> NDArray[np.float32]:
    """The objects' presence logits on a frame; sam2 keeps them beside the masks it yields."""
    kind = "cond_frame_outputs" if offset == 0 else "non_cond_frame_outputs"
    scores = [
        outputs[kind][offset]["object_score_logits"]
        for outputs in state["output_dict_per_obj"].values()
    ]
    return torch.cat(scores).flatten().float().cpu().numpy()


@contextmanager
def _quiet_sam2() -> Generator[None]:
    """Without the progress bars inside sam2, which it offers no way to turn off."""
    modules: tuple[Any, ...] = (sam2_video_predictor, misc)
    for module in modules:
        module.tqdm = partial(tqdm, disable=True)
    try:
        yield
    finally:
        for module in modules:
            module.tqdm = tqdm
