"""The settings of Tables 4 to 7 computed together: how much less work than one by one.

Counts, not times: what each setting would have cost alone follows from its own rows.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.inputs import demo_clip
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.plan import work_alone
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison
from sam2vss_lib.study.paper import paper_rows

_WHOLE = {4: "window", 5: "points_per_side"}
_SHARES = {6: "pred_iou_thresh", 7: "stability_score_thresh"}
_MOST = {"object-frames": 0.4, "image encodings": 0.1}  # of running each setting alone
_WHY = (
    "SAM2 divides the ages of object pointers by the window's length, up to 16 frames: tracks of "
    "windows of 2, 4, 8, 10 and 16 frames differ from the first tracked frame on, and only those "
    "of 16 and 32 are one; grids have no point in common"
)


def ablation_settings(max_points_per_side: int = 64) -> list[MaskletSettings]:
    """The settings of the paper's Tables 4 to 7 in printed order, up to a grid.

    Each table has the default among its rows, so it is here four times.

    Example:
        >>> settings = ablation_settings()
        >>> len(settings), len(set(settings))
        (23, 20)
    """
    default = MaskletSettings().model_dump()
    found: list[MaskletSettings] = []
    for table, name in (_WHOLE | _SHARES).items():
        for row, _ in paper_rows(table):
            value = int(row.split("x")[0]) if table in _WHOLE else float(row)
            found.append(MaskletSettings.model_validate({**default, name: value}))
    return [settings for settings in found if settings.points_per_side <= max_points_per_side]


def run(*, quick: bool) -> Iterator[Comparison]:
    """Object-frames, encodings and prompts of the demo's first val clip, whole."""
    frames = 8 if quick else 40
    runs = ablation_settings(16 if quick else 64)
    distinct = list(dict.fromkeys(runs))
    with demo_clip(frames) as dataset, TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        outs = {one: Path(folder) / str(index) for index, one in enumerate(distinct)}
        shared = generate_shared(dataset, load_sam2("demo"), outs)
    together = shared.work
    for settings, title in (
        (runs, f"{len(runs)} rows of Tables 4-7"),
        (distinct, f"{len(distinct)} distinct settings of them"),
    ):
        alone = work_alone([frames], settings)
        alone.object_frames = sum(shared.by_settings[one].object_frames for one in settings)
        for unit, ours, baseline in (
            ("object-frames", together.object_frames, alone.object_frames),
            ("image encodings", together.image_encodings, alone.image_encodings),
            ("prompts", together.prompts, alone.prompts),
        ):
            most = _MOST.get(unit) if settings is runs and not quick else None
            yield Comparison(
                "plan",
                title,
                "each alone",
                unit,
                ours,
                baseline,
                baseline / ours,
                frames=frames,
                object_frames=together.object_frames,
                image_encodings=together.image_encodings,
                target="" if most is None else f"<= {most:.0%} of the work",
                met=None if most is None else ours <= most * baseline,
                note=f"{ours / baseline:.1%} of the work"
                + (f"; {_WHY}" if unit == "object-frames" else ""),
            )
