"""Base models: per-frame class labels, which the masklets refine."""

from sam2vss_lib.segmentors.base import Prediction, Segmentor
from sam2vss_lib.segmentors.registry import load_segmentor, segmentor_names
from sam2vss_lib.segmentors.segment import segment

__all__ = ["Prediction", "Segmentor", "load_segmentor", "segment", "segmentor_names"]
