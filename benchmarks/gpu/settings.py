"""What each setting of how the engine runs gains, and how far its masks are from those without."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.agreement import paired_ious
from benchmarks.gpu.cases import Case, Scale, Watched, model, objects_of
from benchmarks.gpu.tracking import fps, settings_for, stored
from benchmarks.inputs import demo_clip
from sam2vss_lib.masklets.store import ClipMasklets
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_QUICK: tuple[dict[str, Any], ...] = (
    {"channels_last": True},
    {"attention_backend": "math"},
    {"attention_backend": "flash"},
    {"attention_backend": "efficient"},
    {"attention_backend": "cudnn"},
)
_COMPILED: tuple[dict[str, Any], ...] = ({"compile_step": True}, {"compile_encoder": True})


def how_it_runs(scale: Scale) -> Iterator[Case]:
    """Frames a second of each setting alone; then the masks of the demo's model."""
    name, count = scale.models[0], scale.counts[0]
    plain: dict[str, float] = {}

    def speed(changes: dict[str, Any]) -> Iterator[Comparison]:
        sam2 = model(name, scale.device)

        def reached(**changes: Any) -> tuple[float, Watched]:
            settings = settings_for(scale, "exact", **changes)
            return fps(scale, sam2, settings, count, 8, 1)[:2]

        if not plain:
            plain["fps"], _ = reached()
        found, took = reached(**changes)
        yield Comparison(
            "gpu",
            f"{sam2.name}, {scale.precision}, {objects_of(count)}, {_words(changes)}",
            "exact engine",
            "frames/s",
            found,
            plain["fps"],
            found / plain["fps"],
            objects=count,
            frames=8,
            ours_peak_mib=took.peak_mib,
        )

    def masks(changes: dict[str, Any]) -> Iterator[Comparison]:
        exact = settings_for(scale, "exact").model_copy(
            update={"window": 4, "points_per_side": 8, "pred_iou_thresh": 0.4}
        )
        with demo_clip(4) as dataset:
            ours, theirs = (
                stored(dataset, model("demo", scale.device), exact.model_copy(update=one))
                for one in (changes, {})
            )
        found = ious(ours, theirs)
        yield Comparison(
            "gpu",
            f"demo, {scale.precision}, {_words(changes)}",
            "exact engine",
            "mean IoU",
            float(np.mean(found)) if len(found) else 0.0,
            frames=4,
            note=f"{len(found)} masks, the lowest {min(found, default=0.0):.4f}"
            if len(found)
            else "other proposals",
        )

    chosen = _QUICK if scale.is_tiny else (*_QUICK, *_COMPILED)
    for title, rows in (("frames/s", speed), ("masks", masks)):
        for changes in chosen:
            yield Case(f"{_words(changes)}, {title}", partial(rows, changes))


def ious(ours: ClipMasklets, theirs: ClipMasklets) -> list[float]:
    """Of every masklet and frame; none where not as many masks were proposed."""
    found: list[float] = []
    for a, b in zip(_frames(ours), _frames(theirs), strict=False):
        if a.shape != b.shape:
            return []
        found += paired_ious(a, b).tolist()
    return found


def _frames(masklets: ClipMasklets) -> list[Any]:
    return [frame.masks() for window in masklets.windows() for frame in window]


def _words(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
