"""Made-up costs and work, for tests of estimates."""

from collections.abc import Sequence

from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.unit_costs import UnitCosts, cost_name
from sam2vss_lib.study.estimate.workload import ClipWork, Piece
from sam2vss_lib.study.settings import make_settings

DEFAULT = MaskletSettings()
SETTINGS = make_settings(
    {"profile": "demo", "dataset": "demo", "out_dir": "o", "stages_dir": "s", "device": "cpu"}
)
STAGES = (
    "decode", "encode", "propose", "track frame", "track object", "store",
    "segment: S a", "refine", "evaluate", "features", "paint",
)  # fmt: skip
REFINED = Piece("refine", ("S a", "frame", DEFAULT))
#: one base system, made and refined here
ASKED = (
    Piece("masklets", (DEFAULT,)),
    Piece("segment: S a", ()),
    REFINED,
    Piece("evaluate", ("S a", None)),
    Piece("evaluate", (REFINED, None)),
)


def made_up_costs(unmeasured: Sequence[str] = ()) -> UnitCosts:
    """Every stage takes another time, every file has another size, a frame has five objects."""
    return UnitCosts(
        measured=("demo", "float32", "a CPU"),
        seconds={
            cost_name(stage): 0.001 * (place + 1)
            for place, stage in enumerate(STAGES)
            if stage not in unmeasured
        },
        bytes={
            name: 2.0**20 * size
            for name, size in (("frame", 1), ("label map", 10), ("masklets", 100))
            if name not in unmeasured
        },
        objects=5,
    )


def made_up_work(*lengths: int, times: int = 1) -> list[ClipWork]:
    """Clips of these lengths, each so many times, with `ASKED` of all of them."""
    return [ClipWork({n: times * lengths.count(n) for n in lengths}, "made up", (ASKED,))]
