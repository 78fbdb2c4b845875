"""Settings, stores and readers that tests of masklets and of refinement share."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pycocotools import mask as coco

from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore, frame_table

#: few points and nearly no thresholds: some masks on any frame, in a fraction of a second
LOOSE = MaskletSettings(
    window=2, points_per_side=3, pred_iou_thresh=0.05, stability_score_thresh=0.05
)
METADATA = {
    "settings": {"window": 2},
    "settings_sha256": "a" * 64,
    "checkpoint_sha256": "b" * 64,
    "config_sha256": "c" * 64,
    "frames_sha256": "d" * 64,
}


def disjoint(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Parts of (n, H, W) masks that no earlier mask covers."""
    return masks & (np.cumsum(masks, axis=0) == 1)


def write_masklets(
    store: MaskletStore,
    clip: str,
    windows: list[NDArray[np.bool_]],
    scores: list[NDArray[np.float32]],
) -> None:
    """Store masklets made by hand.

    Args:
        store: where.
        clip: name of the clip.
        windows: (T, n, H, W) masks of each window; n may be 0, T may differ.
        scores: (2, n) predicted IoU and stability of each window's masklets.
    """
    tables, anchor, first = [], 0, 0
    for index, (masks, (iou, stability)) in enumerate(zip(windows, scores, strict=True)):
        length, count = masks.shape[:2]
        tables += [
            frame_table(
                masks[offset],
                disjoint(masks[offset]),
                window=index,
                anchor=anchor,
                frame=anchor + offset,
                first_masklet=first,
                predicted_iou=iou,
                stability=stability,
                object_score=np.zeros(count, np.float32),
            )
            for offset in range(length if count else 0)
        ]
        anchor, first = anchor + length, first + count
    store.write(clip, tables, {**METADATA, "clip": clip, "frames": anchor})


def read_plainly(path: Path) -> tuple[pd.DataFrame, dict[str, NDArray[np.bool_]]]:
    """Rows and masks of a store file as anybody reads them: pandas and pycocotools only."""
    rows = pd.read_parquet(path)
    masks: dict[str, NDArray[np.bool_]] = {}
    for column in ("rle", "rle_visible"):
        sizes = zip(rows["height"], rows["width"], rows[column], strict=True)
        decoded = [coco.decode({"size": [h, w], "counts": rle}) for h, w, rle in sizes]
        masks[column] = np.array(decoded, bool)
    return rows, masks
