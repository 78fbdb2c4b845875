"""One feature vector a masklet: pooling (Eq. 3), the store, and the stage that fills it."""

from sam2vss_lib.isam2.feature_settings import FeatureSettings
from sam2vss_lib.isam2.features.extract import extract_features, sample_frames
from sam2vss_lib.isam2.features.pooling import MaskletPool, pool_features
from sam2vss_lib.isam2.features.store import ClipFeatures, FeatureStore

__all__ = [
    "ClipFeatures",
    "FeatureSettings",
    "FeatureStore",
    "MaskletPool",
    "extract_features",
    "pool_features",
    "sample_frames",
]
