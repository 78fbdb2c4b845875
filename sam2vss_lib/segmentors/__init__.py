"""Base models: class labels of the frames of a clip, which the masklets refine."""

from sam2vss_lib.segmentors.base import InferenceOptions, Prediction, Segmentor
from sam2vss_lib.segmentors.registry import load_segmentor, segmentor_names
from sam2vss_lib.segmentors.segment import segment

__all__ = [
    "InferenceOptions",
    "Prediction",
    "Segmentor",
    "load_segmentor",
    "segment",
    "segmentor_names",
]
