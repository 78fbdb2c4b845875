"""The result of an evaluation: the metric part of `metrics.json`, as plain values."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sam2vss_lib.metrics.bootstrap import FEW_CLIPS, confidence_interval
from sam2vss_lib.metrics.iou import REGION_SUMS, class_iou
from sam2vss_lib.metrics.metric import Floats, Sums
from sam2vss_lib.metrics.protocol import PROTOCOL
from sam2vss_lib.metrics.registry import metric_kinds
from sam2vss_lib.metrics.sums import ClipSums, headline_values, variant_values


@dataclass(frozen=True)
class MetricsResult:
    """All values of an evaluation, in percent with full precision; None where undefined.

    For every class there are `class` (index), `iou` and `support` (ground-truth pixels), for every
    clip, sorted, `clip`, `frames` (and `annotated_frames`) and the headline metrics of it alone.
    Notes are by `metric`, `metric.variant` or `confidence_95.metric`.
    """

    protocol: dict[str, Any]  # id, headline definitions, definitions in words and settings
    frames: int
    annotated_frames: int | None  # which are scored; None, and not in the file, if all are
    clips: int
    metrics: dict[str, float | None]  # headline metric -> value
    variants: dict[str, dict[str, float | None]]  # metric -> definition -> value
    per_class: list[dict[str, int | float | None]]
    per_clip: list[dict[str, str | int | float | None]]
    confidence_95: dict[str, list[float] | None]  # headline metric -> [low, high], over clips
    notes: dict[str, str]  # reason for each None

    def to_dict(self) -> dict[str, Any]:
        """The result as plain dictionaries and lists that `json` writes as they are."""
        left_out = "annotated_frames" if self.annotated_frames is None else ""
        return {key: value for key, value in asdict(self).items() if key != left_out}


def build_result(sums: ClipSums, samples: int = 2000, seed: int = 0) -> MetricsResult:
    """Compute every value from per-clip sums; `samples` and `seed` are of the bootstrap."""
    settings, total = sums.settings, sums.total()
    variants = {
        metric: {name: _plain(value) for name, value in named.items()}
        for metric, named in variant_values(total, settings).items()
    }
    class_ious = 100.0 * class_iou(*(total[name] for name in REGION_SUMS))
    headline = PROTOCOL.headline_of(settings)
    metrics = {metric: variants[metric][headline[metric]] for metric in settings.metric_names}
    intervals = confidence_interval(sums, samples, seed)
    variants = {metric: named for metric, named in variants.items() if len(named) > 1}
    return MetricsResult(
        protocol=PROTOCOL.describe(settings),
        frames=int(total["frames"]),
        annotated_frames=int(total["annotated_frames"]) if _is_sparse(total) else None,
        clips=len(sums.clips),
        metrics=metrics,
        variants=variants,
        per_class=[
            {"class": index, "iou": _plain(iou), "support": int(support)}
            for index, (iou, support) in enumerate(
                zip(class_ious, total["ground_truth"], strict=True)
            )
        ],
        per_clip=_clip_rows(sums),
        confidence_95={k: list(v) if v is not None else None for k, v in intervals.items()},
        notes=_notes(sums, metrics, variants)
        | {f"confidence_95.{k}": FEW_CLIPS for k, v in intervals.items() if v is None},
    )


def _plain(value: Floats | np.float64) -> float | None:
    """A Python float, or None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def _is_sparse(total: Sums) -> bool:
    """Whether a frame has no ground truth."""
    return bool(total["annotated_frames"] < total["frames"])


def _clip_rows(sums: ClipSums) -> list[dict[str, str | int | float | None]]:
    stacked = sums.stacked()
    values = headline_values(stacked, sums.settings)
    counted = ("frames", "annotated_frames") if _is_sparse(sums.total()) else ("frames",)
    return [
        {"clip": name}
        | {key: int(stacked[key][row]) for key in counted}
        | {metric: _plain(column[row]) for metric, column in values.items()}
        for row, name in enumerate(sums.names)
    ]


def _notes(
    sums: ClipSums,
    metrics: dict[str, float | None],
    variants: dict[str, dict[str, float | None]],
) -> dict[str, str]:
    """The reason for every headline value and variant that is None."""
    missing = {metric: metric for metric, value in metrics.items() if value is None} | {
        f"{metric}.{name}": metric
        for metric, named in variants.items()
        for name, value in named.items()
        if value is None
    }
    if not sums.clips:
        return dict.fromkeys(missing, "no clip was evaluated")
    longest, total = int(sums.stacked()["longest_run"].max()), sums.total()
    limits = ""
    if _is_sparse(total):
        share = f"{total['annotated_frames']} of {total['frames']} frames are annotated"
        limits = f" ({share}; a clip counts as long as its longest run of these)"
    reasons: dict[str, str] = {}
    for kind in metric_kinds():
        reasons |= kind.reasons(sums.settings, longest)
    return {place: reasons[metric] + limits for place, metric in missing.items()}
