"""From sums to values in percent: of the data set, of one clip, or of thousands of resamples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from sam2vss_lib.metrics.boundary import boundary_values
from sam2vss_lib.metrics.consistency import consistency_values
from sam2vss_lib.metrics.iou import (
    Floats,
    frequency_weighted_iou,
    mean_iou_mmseg,
    mean_iou_vspw,
)
from sam2vss_lib.metrics.protocol import PROTOCOL, MetricSettings
from sam2vss_lib.metrics.sums import REGION_SUMS

AnySums = Mapping[str, NDArray[Any]]


def variant_values(sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
    """Every definition of every metric.

    Args:
        sums: named as `empty_sums`, each (..., C) or (...): one set of sums, or a batch of them.
        settings: what they were counted with.

    Returns:
        metric -> definition -> (...) float64 in percent, NaN where it cannot be computed.
    """
    region = [sums[name] for name in REGION_SUMS]
    values = {
        "mIoU": {"vspw": mean_iou_vspw(*region), "mmseg": mean_iou_mmseg(*region)},
        "FWIoU": {"fwiou": frequency_weighted_iou(*region)},
        "mBIoU": {
            name: value
            for radius_px in settings.radii_px
            for name, value in boundary_values(sums, radius_px).items()
        },
    }
    values |= {f"mVC{n}": consistency_values(sums, n) for n in settings.window_lengths}
    return {
        metric: {name: 100.0 * value for name, value in named.items()}
        for metric, named in values.items()
    }


def headline_values(sums: AnySums, settings: MetricSettings) -> dict[str, Floats]:
    """The headline definition of every metric; arguments and values as `variant_values`."""
    variants = variant_values(sums, settings)
    headline = PROTOCOL.headline_of(settings)
    return {metric: variants[metric][headline[metric]] for metric in settings.metric_names}
