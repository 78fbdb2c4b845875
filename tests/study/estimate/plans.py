"""Made-up costs and work, for tests of estimates."""

from __future__ import annotations

from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.clip_lengths import ClipLengths
from sam2vss_lib.study.estimate.estimate import STAGES
from sam2vss_lib.study.estimate.measured_stores import settings_name
from sam2vss_lib.study.estimate.unit_costs import Circumstances, Seconds, UnitCosts
from sam2vss_lib.study.estimate.workload import Asked, Classifiers, ClipWork, Workload
from sam2vss_lib.study.settings import make_settings

DEFAULT = MaskletSettings()
SETTINGS = make_settings(
    {"profile": "demo", "dataset": "demo", "out_dir": "o", "stages_dir": "s", "device": "cpu"}
)
MEASURED = Circumstances(checkpoint="demo", precision="float32", device="a CPU", size_px=(48, 64))
BYTES = ("masklet row", "feature row", "label map", "frame", "mask", "metrics")


def made_up_costs() -> UnitCosts:
    """Every stage takes another time, every file has another size."""
    seconds = {
        stage: Seconds(seconds=0.001 * (place + 1), source="made up")
        for place, stage in enumerate([*STAGES, "segment sa"])
    }
    sizes = {name: 10.0 * (place + 1) for place, name in enumerate(BYTES)}
    objects = {settings_name(DEFAULT): 5.0}
    return UnitCosts(measured=MEASURED, seconds=seconds, bytes=sizes, objects=objects, shared=())


def made_up_asked(max_clips: int | None = None) -> Asked:
    """One base system, made and refined here."""
    refined = ("S a", "frame", DEFAULT)
    return Asked(
        masklets=(DEFAULT,),
        segmented=frozenset({"S a"}),
        refined=frozenset({refined}),
        evaluated=frozenset({("S a", max_clips), (*refined, max_clips)}),
    )


def made_up_work(
    pattern: tuple[int, ...],
    clips: int,
    start: int = 0,
    stop: int | None = None,
    classifiers: tuple[Classifiers, ...] = (),
) -> Workload:
    """Clips start..stop-1 of a split, with `made_up_asked` of all of them."""
    lengths = ClipLengths(pattern, clips, "made up")
    work = ClipWork(lengths, start, clips if stop is None else stop, (made_up_asked(),))
    return Workload((work,), classifiers, SETTINGS)
