"""What one piece of work costs, as it was measured: seconds, bytes, objects on a frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam2vss_lib.errors import DataError, Sam2VssError, SettingsError, first_line
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement
from sam2vss_lib.study.estimate.measured_stores import (
    file_bytes,
    measure_objects,
    object_frames,
    settings_name,
    store_bytes,
)
from sam2vss_lib.study.estimate.stage_logs import logged_seconds, plain
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.validation import validated

COST_NOTEBOOK = "08_cost_analysis"
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Circumstances(_Record):
    """What the costs were measured with.

    Attributes:
        checkpoint: the SAM2 model.
        precision: of the model.
        device: in words; one worker is such a device.
        size_px: (height, width) of the frames, None where the data set is no longer there.
    """

    checkpoint: str
    precision: str
    device: str
    size_px: tuple[int, int] | None

    def words(self) -> str:
        """All of them in a line."""
        size = "" if self.size_px is None else f", frames of {self.size_px[1]}x{self.size_px[0]} px"
        return f"{self.checkpoint} model, {self.precision}, {self.device}{size}"


class Seconds(_Record):
    """Time of one piece of work, and what measured it."""

    seconds: _Amount
    source: str


class Shared(_Record):
    """Objects that a frame has for several settings computed together, each followed once."""

    settings: tuple[str, ...]
    object_frames: _Amount


class UnitCosts(_Record):
    """Measured costs.

    Attributes:
        format_version: of this record.
        measured: with what.
        seconds: of one piece of work, by the names of `estimate.STAGES`.
        bytes: of one row of a masklet store, one label map, one frame, ...
        objects: masklets on a frame, by name of the settings.
        shared: the same for settings computed together.
    """

    format_version: Literal[1] = 1
    measured: Circumstances
    seconds: dict[str, Seconds]
    bytes: dict[str, _Amount]
    objects: dict[str, _Amount]
    shared: tuple[Shared, ...]

    def time_s(self, stage: str, pieces: float) -> float | None:
        """Seconds of so many pieces of work; None where one was not measured."""
        one = self.seconds.get(cost_name(stage))
        return None if one is None else one.seconds * pieces

    def size(self, what: str, number: float) -> float:
        """Bytes of so many; NaN where there are some and one was not measured."""
        return self.bytes.get(what, math.nan) * number if number else 0.0

    def objects_of(self, settings: MaskletSettings) -> float:
        """Masklets on a frame; those of the first measured settings where these were not."""
        known = self.objects.get(settings_name(settings))
        return next(iter(self.objects.values())) if known is None else known

    def followed(self, settings: Iterable[MaskletSettings]) -> float:
        """Objects on a frame for settings computed together; all of them where unmeasured."""
        every = list(settings)
        names = tuple(sorted(settings_name(one) for one in every))
        for one in self.shared:
            if one.settings == names:
                return one.object_frames
        return sum(self.objects_of(one) for one in every)


def cost_name(stage: str) -> str:
    """Name of a stage's cost: that of a base system is found by its plain label."""
    kind, _, label = stage.partition(" ")
    return f"{kind} {plain(label)}" if kind == "segment" else stage


def measured_costs(results: Path, groups: Iterable[Sequence[MaskletSettings]]) -> UnitCosts:
    """Costs that earlier runs have left in the results folder of a profile.

    Notebook 08 times the parts of the refiner one by one; what it does not run, and whole stages
    with their files, are in the other notebooks' stage logs. Objects and sizes of files are
    counted in what the stages have stored.

    Args:
        results: such as `results/demo`.
        groups: settings of masklets that are computed together, to count what they share.

    Raises:
        SettingsError: notebook 08 has not been run.
        DataError: its files cannot be used.
    """
    folder = results / COST_NOTEBOOK
    if not (folder / "result.json").is_file():
        raise SettingsError(
            f"{folder / 'result.json'}: no measured costs; measure them with `sam2vss study "
            f"--profile {results.name} --only 08 --out {results.parent}`, or give --costs FILE"
        )
    settings, measured, seconds = _cost_result(folder / "result.json")
    device = str(read_json(folder / "provenance.json").get("device", "unknown device"))
    stages = results / "stages"
    objects, stores = measure_objects(stages)
    name = settings_name(settings.masklets)
    size_px, frame_bytes = file_bytes(settings)
    return UnitCosts(
        measured=Circumstances(
            checkpoint=settings.checkpoint,
            precision=settings.precision,
            device=device,
            size_px=size_px,
        ),
        seconds=seconds
        | {name: Seconds(**one._asdict()) for name, one in logged_seconds(results).items()},
        bytes={**frame_bytes, **store_bytes(stages)},
        objects={name: objects.get(name, float(measured.masklets)), **objects},
        shared=tuple(
            Shared(settings=names, object_frames=per_frame)
            for names, per_frame in object_frames(stores, groups).items()
        ),
    )


def _cost_result(path: Path) -> tuple[StudySettings, CostMeasurement, dict[str, Seconds]]:
    """Settings of notebook 08, what it has measured, and that as times of one piece of work."""
    result: Any = read_json(path)
    try:
        places = {"out_dir": str(path.parent), "stages_dir": ""}
        settings = validated(StudySettings, {**result["settings"], **places}, "setting")
        measured = CostMeasurement.model_validate(result["measured"])
        return settings, measured, _seconds(measured, settings)
    except (KeyError, TypeError, ValidationError, Sam2VssError) as error:
        raise DataError(
            f"{path}: not a result of notebook 08 ({first_line(error)}); run it again: --only 08"
        ) from None


def _seconds(measured: CostMeasurement, settings: StudySettings) -> dict[str, Seconds]:
    """Times of notebook 08 for one frame, point, object on a frame, or label map."""
    parts = {part.part: part.seconds for part in measured.parts}
    per_frame, per_object = measured.fitted()
    times = {
        "decode": parts["decode"],
        "encode": parts["encode"],
        "propose": parts["propose"] / settings.points_per_side**2,
        # a fit may cross zero where objects are few and times are noisy
        "track frame": max(per_frame, 0.0),
        "track object": max(per_object, 0.0),
        "store": parts["store"] / max(measured.masklets, 1),
        "refine": parts["refine"],
        "evaluate": parts["metrics"],
    }
    return {name: Seconds(seconds=one, source="notebook 08") for name, one in times.items()}


def read_costs(path: Path) -> UnitCosts:
    """Read costs that `sam2vss plan --json` has printed, maybe on another machine.

    Raises:
        DataError: missing, or not such a file; one line that names the field.
    """
    value: Any = read_json(path)
    if not isinstance(value, dict) or "costs" not in value:
        raise DataError(f"{path}: no field costs; make such a file with `sam2vss plan --json`")
    try:
        costs = UnitCosts.model_validate(value["costs"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(("costs", *(str(part) for part in first["loc"])))
        raise DataError(f"{path}: {field}: {first['msg']}") from None
    if not costs.objects:
        raise DataError(f"{path}: costs.objects: empty; it needs the objects of one setting")
    return costs
