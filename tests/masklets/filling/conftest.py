"""A clip with few old masklets, made by hand, and what a fill of it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.masklets.filling.fill import FillRun, fill_masklets
from sam2vss_lib.masklets.filling.prompting import Prompted, Prompter
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.generate import inputs_of
from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.common import disjoint

#: windows of 3 over 5 frames: the last is shorter
OLD = MaskletSettings(window=3)
FILL = FillSettings(
    fill_every_frames=2, fill_points_per_side=6, fill_min_new=0.2, fill_stability_score_thresh=0.1
)
#: (n, H, W) masks of a clip on a frame
Masks = Callable[[Clip, int], NDArray[np.bool_]]


def left_and_top(clip: Clip, frame: int) -> NDArray[np.bool_]:
    """Two masklets that overlap, in the first window alone; one is lost on its last frame."""
    height, width = clip.size
    masks = np.zeros((2 if frame < OLD.window else 0, height, width), bool)
    masks[:1, :, : 2 * width // 3] = frame < OLD.window - 1
    masks[1:, : height // 3] = True
    return masks


def write_old(
    dataset: Dataset, model: Sam2Model, root: Path, masks_of: Masks = left_and_top
) -> MaskletStore:
    """A store of masklets made by hand, as if with the settings `OLD`."""
    store = MaskletStore(root)
    for clip in dataset:
        inputs = inputs_of(clip, model, OLD, clip.frames_sha256())
        with store.writer(clip.name, inputs) as writer:
            for frame in range(clip.num_frames):
                window = frame // OLD.window
                masks = masks_of(clip, frame)
                score = np.linspace(0.9, 0.7, len(masks), dtype=np.float32)
                if len(masks):
                    writer.add(
                        mask_columns(masks),
                        encode_masks(disjoint(masks)),
                        window=window,
                        anchor=window * OLD.window,
                        frame=frame,
                        predicted_iou=score,
                        stability=score,
                        object_score=score,
                    )
    return store


@dataclass(frozen=True)
class Filled:
    """A store before and after."""

    old: MaskletStore
    out: Path
    run: FillRun
    prompted: list[Prompted]  # in the order of births

    def path(self, clip: Clip) -> Path:
        return self.out / f"{clip.name}.parquet"


@pytest.fixture(scope="session")
def filled(
    demo_model: Sam2Model, small_world: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Filled:
    """Filled by a grid; not to be changed."""
    root = tmp_path_factory.mktemp("filling")
    old, prompted = write_old(small_world, demo_model, root / "old"), list[Prompted]()
    propose = Prompter.propose

    def recorded(*args: object) -> Prompted:
        prompted.append(propose(*args))  # type: ignore[arg-type]
        return prompted[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prompter, "propose", recorded)
        run = fill_masklets(small_world, demo_model, OLD, FILL, old, root / "out")
    return Filled(old, root / "out", run, prompted)
