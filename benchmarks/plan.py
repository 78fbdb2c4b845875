"""The settings of Tables 4 to 7 computed together: how much less work than one by one.

Counts, not times: what each setting would have cost alone follows from its own rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.inputs import demo_clip
from benchmarks.rows import Row
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.plan import work_alone
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.paper import paper_rows

_WHOLE = {4: "window", 5: "points_per_side"}
_SHARES = {6: "pred_iou_thresh", 7: "stability_score_thresh"}


def ablation_settings(max_points_per_side: int = 64) -> list[MaskletSettings]:
    """The distinct settings of the paper's Tables 4 to 7, up to a grid.

    Example:
        >>> len(ablation_settings())
        20
    """
    default = MaskletSettings().model_dump()
    found: dict[MaskletSettings, None] = {}
    for table, name in (_WHOLE | _SHARES).items():
        for row, _ in paper_rows(table):
            value = int(row.split("x")[0]) if table in _WHOLE else float(row)
            found[MaskletSettings.model_validate({**default, name: value})] = None
    return [settings for settings in found if settings.points_per_side <= max_points_per_side]


def run(*, quick: bool) -> Iterator[Row]:
    """Object-frames, encodings and prompts of a short clip; its end caps the longer windows."""
    frames = 8 if quick else 16
    settings = ablation_settings(16 if quick else 64)
    with demo_clip(frames) as dataset, TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        outs = {one: Path(folder) / str(index) for index, one in enumerate(settings)}
        shared = generate_shared(dataset, load_sam2("demo"), outs)
    alone = work_alone([frames], settings)
    object_frames = sum(one.object_frames for one in shared.by_settings.values())
    together = shared.work
    for unit, ours, baseline in (
        ("object-frames", together.object_frames, object_frames),
        ("image encodings", together.image_encodings, alone.image_encodings),
        ("prompts", together.prompts, alone.prompts),
    ):
        yield Row(
            "plan",
            f"{len(settings)} settings of Tables 4-7",
            "each alone",
            unit,
            ours,
            baseline,
            baseline / ours,
            frames=frames,
            object_frames=together.object_frames,
            image_encodings=together.image_encodings,
            note=f"{ours / baseline:.1%} of the work",
        )
