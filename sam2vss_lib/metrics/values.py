"""From sums to values in percent: of the data set, of one clip, or of thousands of resamples."""

from __future__ import annotations

from sam2vss_lib.metrics.metric import AnySums, Floats
from sam2vss_lib.metrics.protocol import PROTOCOL, MetricSettings
from sam2vss_lib.metrics.registry import metric_kinds


def variant_values(sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
    """Every definition of every metric.

    Args:
        sums: named as `empty_sums`, each (..., C) or (...): one set of sums, or a batch of them.
        settings: what they were counted with.

    Returns:
        metric -> definition -> (...) float64 in percent, NaN where it cannot be computed.
    """
    values: dict[str, dict[str, Floats]] = {}
    for kind in metric_kinds():
        values |= kind.values(sums, settings)
    return {
        metric: {name: 100.0 * value for name, value in named.items()}
        for metric, named in values.items()
    }


def headline_values(sums: AnySums, settings: MetricSettings) -> dict[str, Floats]:
    """The headline definition of every metric; arguments and values as `variant_values`."""
    variants = variant_values(sums, settings)
    headline = PROTOCOL.headline_of(settings)
    return {metric: variants[metric][headline[metric]] for metric in settings.metric_names}
