"""Metrics of video semantic segmentation under one named protocol."""

from sam2vss_lib.metrics.bootstrap import (
    Gain,
    confidence_interval,
    mean_paired_gain,
    paired_gain,
)
from sam2vss_lib.metrics.protocol import PROTOCOL, VOID
from sam2vss_lib.metrics.result import MetricsResult
from sam2vss_lib.metrics.suite import MetricSuite
from sam2vss_lib.metrics.sums import ClipSums

__all__ = [
    "PROTOCOL",
    "VOID",
    "ClipSums",
    "Gain",
    "MetricSuite",
    "MetricsResult",
    "confidence_interval",
    "mean_paired_gain",
    "paired_gain",
]
