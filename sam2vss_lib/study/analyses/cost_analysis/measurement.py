"""What the cost analysis measures: work that does not depend on the machine, and time that does."""

import numpy as np
import pandas as pd
from pydantic import BaseModel


class PartCost(BaseModel, frozen=True):
    """One part of the work on a frame."""

    part: str
    per_frame: float  # how often it is done per frame, such as 1/32 for proposals
    gflop: float  # floating point work of one time, in 10^9; 0 where no network runs
    seconds: float  # time of one time, median of three


class CostMeasurement(BaseModel, frozen=True):
    """Costs on one clip."""

    parts: tuple[PartCost, ...]  # in the order of the data
    objects: tuple[int, ...]  # numbers of objects tracked together
    track_seconds: tuple[float, ...]  # per frame, for each of `objects`
    peak_memory_mib: float  # of the device, or of the process on a CPU
    masklets: int  # in the measured window
    window: int  # frames between proposals

    @property
    def seconds_per_frame(self) -> float:
        """All parts together."""
        return sum(part.seconds * part.per_frame for part in self.parts)

    def fitted(self) -> tuple[float, float]:
        """Least squares of tracking time over objects: seconds per frame, and per object more."""
        slope, start = np.polyfit(self.objects, self.track_seconds, 1)
        return float(start), float(slope)


def work_frame(measured: CostMeasurement) -> pd.DataFrame:
    """What does not depend on the machine, for `table.csv`.

    Returns:
        Columns `part`, `per_frame`, `gflop` (of one time) and `gflop_per_frame`.
    """
    parts = _parts(measured).drop(columns="seconds")
    return parts.assign(gflop_per_frame=parts["gflop"] * parts["per_frame"]).round(6)


def time_frame(measured: CostMeasurement) -> pd.DataFrame:
    """Times on this machine.

    Returns:
        Columns `part`, `seconds` (of one time), `seconds_per_frame` and `share` of the whole.
    """
    parts = _parts(measured)
    parts["seconds_per_frame"] = parts["seconds"] * parts["per_frame"]
    parts["share"] = parts["seconds_per_frame"] / measured.seconds_per_frame
    return parts.drop(columns=["per_frame", "gflop"])


def _parts(measured: CostMeasurement) -> pd.DataFrame:
    return pd.DataFrame([part.model_dump() for part in measured.parts])
