"""Settings, stores and readers that tests of masklets and of refinement share."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pycocotools import mask as coco

from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.runs import Runs, decode_runs
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore

#: few points and nearly no thresholds: some masks on any frame, in a fraction of a second
LOOSE = MaskletSettings(
    window=2,
    points_per_side=3,
    pred_iou_thresh=0.05,
    stability_score_thresh=0.05,
    engine="stock",
)
METADATA = {
    "settings": {"window": 2},
    "settings_sha256": "a" * 64,
    "checkpoint_sha256": "b" * 64,
    "config_sha256": "c" * 64,
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
    frames = sum(len(masks) for masks in windows)
    with store.writer(clip, {**METADATA, "clip": clip, "frames": frames}) as writer:
        anchor = 0
        for index, (masks, (iou, stability)) in enumerate(zip(windows, scores, strict=True)):
            for offset in range(len(masks) if masks.shape[1] else 0):
                writer.add(
                    mask_columns(masks[offset]),
                    encode_masks(disjoint(masks[offset])),
                    window=index,
                    anchor=anchor,
                    frame=anchor + offset,
                    predicted_iou=iou,
                    stability=stability,
                    object_score=np.zeros(masks.shape[1], np.float32),
                )
            anchor += len(masks)


def forget_what_is_ours(path: Path) -> None:
    """Rewrite a store file as another program would have, by the format alone."""
    table = pq.read_table(path).drop_columns(["rle_visible"])
    ours = (b"config_sha256", b"frames_sha256")
    metadata = {k: v for k, v in table.schema.metadata.items() if k not in ours}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    path.with_name(f"{path.name}.sha256").unlink()


def read_plainly(path: Path) -> tuple[pd.DataFrame, dict[str, NDArray[np.bool_]]]:
    """Rows and masks of a store file as anybody reads them: pandas and pycocotools only."""
    rows = pd.read_parquet(path)
    masks: dict[str, NDArray[np.bool_]] = {}
    for column in ("rle", "rle_visible"):
        sizes = zip(rows["height"], rows["width"], rows[column], strict=True)
        decoded = [coco.decode({"size": [h, w], "counts": rle}) for h, w, rle in sizes]
        masks[column] = np.array(decoded, bool)
    return rows, masks


def runs_of(masks: np.ndarray) -> Runs:
    """Runs of (n, H, W) masks, as a store gives them."""
    return decode_runs(encode_masks(masks) if len(masks) else [], *masks.shape[1:])
