"""The metrics. Another one is a module here, or anywhere, and a line in `METRICS`.

The code of an entry is a subclass of `sam2vss_lib.metrics.metric.Metric`. What it counts is kept in
the sums of every clip, and its values appear in `metrics.json`, tables and intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2vss_lib.registry import Entry, Registry

if TYPE_CHECKING:
    from sam2vss_lib.metrics.metric import Metric

METRICS = Registry(
    "metric",
    {
        "region": Entry(
            "sam2vss_lib.metrics.iou:RegionOverlap", "mIoU and FWIoU: overlap of regions"
        ),
        "boundary": Entry(
            "sam2vss_lib.metrics.boundary:BoundaryOverlap", "mBIoU: overlap near boundaries"
        ),
        "consistency": Entry(
            "sam2vss_lib.metrics.consistency:Consistency", "mVC8 and mVC16: consistency in time"
        ),
    },
)
#: what the protocol's id stands for; other metrics are named in it
BUILT_IN = tuple(METRICS)


def metric_kinds() -> tuple[type[Metric], ...]:
    """The classes of all metrics, in the order in which they are reported."""
    return tuple(entry.load() for entry in METRICS.values())
