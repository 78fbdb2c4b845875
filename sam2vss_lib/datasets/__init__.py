"""Data sets: clips and frames in VSPW or VIPSeg layout, label maps, verification."""

from sam2vss_lib.datasets.checking.verify import verify_dataset
from sam2vss_lib.datasets.clips import Clip
from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.datasets.splits import GENERATED
from sam2vss_lib.datasets.vspw import Dataset, open_dataset, open_frames

__all__ = [
    "GENERATED",
    "VOID",
    "Clip",
    "Dataset",
    "open_dataset",
    "open_frames",
    "verify_dataset",
]
