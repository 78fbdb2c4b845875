"""SAM2 for video semantic segmentation: a library of small stages that talk through files.

The names below are the library's stable surface. Each is imported when it is first used, so that
`import sam2vss_lib` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam2vss_lib.datasets import open_dataset, open_frames
    from sam2vss_lib.isam2.features import pool_features
    from sam2vss_lib.masklets.filling.fill import fill_masklets
    from sam2vss_lib.masklets.filling.settings import FillSettings
    from sam2vss_lib.masklets.generate import generate_masklets
    from sam2vss_lib.masklets.sam2 import load_sam2
    from sam2vss_lib.masklets.settings import MaskletSettings
    from sam2vss_lib.masklets.store import MaskletStore
    from sam2vss_lib.metrics import MetricSuite
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.refinement.refine import refine
    from sam2vss_lib.refinement.settings import RefineSettings
    from sam2vss_lib.study.settings import StudySettings

__all__ = [
    "FillSettings",
    "MaskletSettings",
    "MaskletStore",
    "MetricSuite",
    "PredictionFolder",
    "RefineSettings",
    "StudySettings",
    "fill_masklets",
    "generate_masklets",
    "load_sam2",
    "open_dataset",
    "open_frames",
    "pool_features",
    "refine",
]
_HOMES = {
    "FillSettings": "sam2vss_lib.masklets.filling.settings",
    "MaskletSettings": "sam2vss_lib.masklets.settings",
    "MaskletStore": "sam2vss_lib.masklets.store",
    "MetricSuite": "sam2vss_lib.metrics",
    "PredictionFolder": "sam2vss_lib.predictions.folder",
    "RefineSettings": "sam2vss_lib.refinement.settings",
    "StudySettings": "sam2vss_lib.study.settings",
    "fill_masklets": "sam2vss_lib.masklets.filling.fill",
    "generate_masklets": "sam2vss_lib.masklets.generate",
    "load_sam2": "sam2vss_lib.masklets.sam2",
    "open_dataset": "sam2vss_lib.datasets",
    "open_frames": "sam2vss_lib.datasets",
    "pool_features": "sam2vss_lib.isam2.features",
    "refine": "sam2vss_lib.refinement.refine",
}


def __getattr__(name: str) -> Any:
    """Import a name of the surface on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
