"""What a reader of an estimate must know: where its numbers are from, and what is not in it."""

from __future__ import annotations

from sam2vss_lib.masklets.plan import passes
from sam2vss_lib.study.estimate.estimate import Estimate
from sam2vss_lib.study.estimate.measured_stores import settings_name
from sam2vss_lib.study.estimate.unit_costs import UnitCosts
from sam2vss_lib.study.estimate.workload import Workload, together
from sam2vss_lib.study.stages.provenance import device_name


def notes(workload: Workload, costs: UnitCosts, found: Estimate) -> list[str]:
    """Lines to be printed with an estimate."""
    return [
        *dict.fromkeys(f"clips: {work.lengths.source}" for work in workload.clips),
        _measured(workload, costs),
        *_unmeasured(found),
        *_objects(workload, costs),
        "a task: a clip with all that is done on it, or a classifier; a worker: a device as above",
        "not in it: notebooks without a data set, what notebook 08 times, figures and intervals",
    ]


def _measured(workload: Workload, costs: UnitCosts) -> str:
    """What the costs were measured with, and whether that is what the profile asks for."""
    settings, measured = workload.settings, costs.measured
    pairs = (
        (measured.checkpoint, settings.checkpoint),
        (measured.precision, settings.precision),
        (measured.device, device_name(settings.torch_device)),
    )
    other = [asked for known, asked in pairs if known != asked]
    said = f"measured: {measured.words()}"
    if other:
        said += f"; NOT what this study would use ({', '.join(other)}): times are an example"
    return said


def _unmeasured(found: Estimate) -> list[str]:
    stages = [stage.stage for stage in found.stages if stage.seconds is None]
    if not stages:
        return []
    return [f"not in the times, as no run has measured it: {', '.join(stages)}"]


def _objects(workload: Workload, costs: UnitCosts) -> list[str]:
    """What is not known of the number of objects."""
    groups = [group for work in workload.clips for group in passes(together(work.asked).masklets)]
    names = {settings_name(one) for group in groups for one in group}
    lines: list[str] = []
    if unknown := names - costs.objects.keys():
        first, count = next(iter(costs.objects.items()))
        lines.append(
            f"objects of {len(unknown)} settings, such as {min(unknown)}: not counted in any run, "
            f"taken as with {first} ({count:.1f} a frame)"
        )
    shared = {one.settings for one in costs.shared}
    if any(tuple(sorted({settings_name(one) for one in g})) not in shared for g in groups if g[1:]):
        lines.append("what settings share of their objects was not counted: taken as nothing")
    return lines
