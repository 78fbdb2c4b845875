"""What one piece of work costs, as it was measured: seconds, bytes, objects on a frame."""

import math
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from sam2vss_lib.errors import DataError, Sam2VssError, SettingsError, first_line
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement
from sam2vss_lib.study.estimate.workload import clip_lengths
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.study.stages import Study
from sam2vss_lib.validation import validated

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
#: stages as logs and as the estimate name them
_LOGGED = {one: one for one in ("segment", "refine", "evaluate", "features", "paint")} | {
    "evidence to fit on": "evidence", "weigh evidence": "weigh", "fill masklets": "fill",
}  # fmt: skip
_SAMPLE = 30  # files of every store, however many it has


class UnitCosts(BaseModel, frozen=True, extra="forbid"):
    """Costs of single pieces of work, and what they were measured with."""

    format_version: Literal[2] = 2
    measured: tuple[str, ...]  # checkpoint, precision, and device, which is one worker
    seconds: dict[str, _Amount]  # of one piece, by `cost_name` of the stage
    bytes: dict[str, _Amount]  # of a `frame`, a `label map`, and the `masklets` of a frame
    objects: _Amount  # masklets on a frame, in the mean of the settings that have been stored

    def hours(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Time of so many pieces of work, by stage; NaN where it was not measured."""
        return {s: self.seconds.get(cost_name(s), math.nan) * n / 3600 for s, n in counts.items()}

    def gib(self, files: Iterable[str]) -> float:
        """Size of all these files together; NaN where one was not measured."""
        return sum(self.bytes.get(name, math.nan) for name in files) / 2**30


def cost_name(stage: str) -> str:
    """A stage as costs call it, with the label of a base system as tables or as files have it."""
    return "".join(filter(str.isalnum, stage)).lower()


def read_costs(path: Path) -> UnitCosts:
    """Read costs that `sam2vss plan --json` has printed, maybe on another machine.

    Raises:
        DataError: missing, or not such a file; one line that names the field.
    """
    with _made_by("`sam2vss plan --json`", path) as value:
        return validated(UnitCosts, value["costs"], "costs")


def measured_costs(results: Path) -> UnitCosts:
    """Costs that earlier runs have left in the results of a profile, such as `results/demo`.

    Notebook 08 times the parts of the refiner one by one; what it does not run, and whole stages
    with their files, are in the logs of all notebooks. Objects and bytes are those of the stores.

    Raises:
        SettingsError: notebook 08 has not been run.
        DataError: its files, or those of another notebook, cannot be used.
    """
    path = results / "08_cost_analysis" / "result.json"
    if not path.is_file():
        raise SettingsError(
            f"{path}: no measured costs; measure them with `sam2vss study "
            f"--profile {results.name} --only 08 --out {results.parent}`, or give --costs FILE"
        )
    with _made_by("notebook 08", path) as result:
        settings = _settings(result)
        measured = validated(CostMeasurement, result["measured"], "measured")
        parts = {part.part: part.seconds for part in measured.parts}
        # a fit may cross zero where objects are few and times are noisy
        per_frame, per_object = measured.fitted()
        seconds = {name: parts[name] for name in ("decode", "encode", "store", "refine")}
        seconds |= {"trackframe": max(per_frame, 0.0), "trackobject": max(per_object, 0.0)}
        seconds["propose"] = parts["propose"] / settings.points_per_side**2
        seconds["evaluate"] = parts["metrics"]
    with _made_by("notebook 08", path.with_name("provenance.json")) as provenance:
        used = [settings.checkpoint, arithmetic(settings), provenance["device"]]
    logged = defaultdict[str, list[float]](list)
    for log in sorted(results.glob("[0-9][0-9]_*/provenance.json")):
        with _made_by("a notebook", log) as provenance:
            for name, cost in _logged(provenance):
                logged[name].append(cost)
                used.append(provenance["device"])
    seconds |= {name: fmean(values) for name, values in logged.items()}
    objects, sizes = _stored(results / "stages", measured.masklets)
    with suppress(Sam2VssError):  # the data set may be gone
        clip = Study(settings).dataset.clips[0]
        sizes["frame"] = fmean(clip.frame_path(t).stat().st_size for t in range(clip.num_frames))
    used = tuple(dict.fromkeys(used))
    return UnitCosts(measured=used, seconds=seconds, bytes=sizes, objects=objects)


def arithmetic(settings: StudySettings) -> str:
    """Precision of the masklets in words, with what is approximated."""
    left_out = ", ".join(settings.in_use())
    return f"{settings.precision} ({left_out})" if left_out else settings.precision


def _logged(provenance: Any) -> Iterator[tuple[str, float]]:
    """Mean seconds of a frame or label map, of stages that found none of their clips' files."""
    measured = [one for one in provenance["stages"] if one["clips"] and not one["reused"]]
    with suppress(SettingsError):  # the data set may be gone
        for line in (one for one in measured if one["stage"] in _LOGGED):
            settings, stage = _settings(provenance), _LOGGED[line["stage"]]
            split, system = settings.split, line["key"].rpartition("-")[0]
            if stage == "evidence":
                split = provenance["settings"]["fit_split"]
            elif stage == "weigh" and not any(
                cost_name(system) == cost_name(one.label) for one in settings.base_systems
            ):  # on other data
                continue
            lengths = clip_lengths(settings, split)[0][: line["clips"]]
            if stage == "segment":
                stage += system
            elif stage == "features":
                lengths = -(-lengths // provenance["settings"]["feature_frame_stride"])
            yield cost_name(stage), line["seconds"] / float(lengths.sum())


@contextmanager
def _made_by(what: str, path: Path) -> Generator[Any]:
    """The content of a JSON file; anything missing or wrong in it is an error of one line."""
    try:
        yield read_json(path)
    except (KeyError, TypeError, AttributeError, SettingsError) as error:
        raise DataError(f"{path}: not made by {what} ({first_line(error)}); make it anew") from None


def _settings(record: Any) -> StudySettings:
    given = {k: v for k, v in record["settings"].items() if k in StudySettings.model_fields}
    here = {"out_dir": "", "stages_dir": "", "device": "cpu"}  # this machine may have no other
    return validated(StudySettings, given | here, "setting")


def _stored(stages: Path, masklets: float) -> tuple[float, dict[str, float]]:
    """Stored masklets of a frame, else `masklets`; mean bytes of those and of a label map."""
    files = _sample(stages, "*.parquet", "masklets")
    frames = sum(MaskletStore(path.parent).metadata(path.stem)["frames"] for path in files)
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    sizes = {"masklets": sum(path.stat().st_size for path in files) / frames} if frames else {}
    if maps := _sample(stages, "*/*.png", "base", "refined", "independent"):
        sizes["label map"] = fmean(path.stat().st_size for path in maps)
    return rows / frames if frames else masklets, sizes


def _sample(stages: Path, files: str, *kinds: str) -> list[Path]:
    """The first files of every store."""
    stores = (store for kind in kinds for store in sorted(stages.glob(f"{kind}/*/")))
    return [path for store in stores for path in islice(store.glob(files), _SAMPLE)]
