"""Encoders whose features are pooled under masklets: SAM2's, a base model's, anybody's."""

from sam2vss_lib.isam2.encoders.base import Encoder, encode_frame, encoder_identity
from sam2vss_lib.isam2.encoders.registry import load_encoder
from sam2vss_lib.isam2.encoders.sam2 import sam2_encoder
from sam2vss_lib.isam2.encoders.segmentors import segmentor_encoder

__all__ = [
    "Encoder",
    "encode_frame",
    "encoder_identity",
    "load_encoder",
    "sam2_encoder",
    "segmentor_encoder",
]
