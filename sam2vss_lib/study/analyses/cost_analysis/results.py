"""Notebook 08: the cost measured once per machine, kept, and put into words."""

from __future__ import annotations

import math
import os
from typing import Any

from matplotlib.figure import Figure

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import (
    BenchmarkFile,
    benchmark_frame,
    circumstances,
)
from sam2vss_lib.study.analyses.cost_analysis.figures import figure_ratios
from sam2vss_lib.study.analyses.cost_analysis.measure import measure_cost
from sam2vss_lib.study.analyses.cost_analysis.measurement import (
    CostMeasurement,
    time_frame,
    work_frame,
)
from sam2vss_lib.study.results.tables import text_table
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.context import Progress
from sam2vss_lib.study.stages.provenance import device_name, package_versions

#: the paper on an A100, for 480p VSPW (section 4.1.1): what its refiner and its base models reach
PAPER_FPS = (1.1, 3.5)
OBJECTS = (1, 2, 4, 8, 16, 32)


def study_cost(study: Study) -> CostMeasurement:
    """Measure on the study's first clip, or read what this machine has measured before."""
    settings = study.settings
    if not settings.base_systems:
        raise SettingsError("parameter 'base_systems': the cost analysis needs one")
    clip = study.dataset.clips[0]
    key = study.key(
        settings.masklets.sha256(),
        study.sam2.checkpoint_sha256,
        clip.name,
        sha256_json([device_name(study.device), os.cpu_count(), package_versions(), OBJECTS]),
    )

    def measure(_progress: Progress) -> dict[str, Any]:
        base = study.base(settings.base_systems[0]).folder.read(clip, 0)
        classes = study.dataset.num_classes
        measured = measure_cost(clip, study.sam2, settings.masklets, base, classes, OBJECTS)
        return measured.model_dump(mode="json")

    study.uses(study.sam2_checkpoint, {})
    kept = study.kept_values("cost", "cost", key, measure, study.dataset.take(1))
    return CostMeasurement.model_validate(kept)


def cost_caption(study: Study, measured: CostMeasurement) -> str:
    """What was measured on what."""
    height, width = study.dataset.clips[0].size
    return (
        f"Refining one frame of {width}x{height} px with SAM2 ({study.sam2.name}), window "
        f"{measured.window}, {measured.masklets} masklets, on "
        f"{device_name(study.device)}. Times are of this machine; counts and floating point work "
        "are not."
    )


def cost_reading(measured: CostMeasurement) -> str:
    """The cost in a few sentences, from the numbers alone."""
    start, slope = measured.fitted()
    times = time_frame(measured).sort_values("seconds_per_frame", ascending=False)
    first, second = times["part"].iloc[0], times["part"].iloc[1]
    fps, (low, high) = 1 / measured.seconds_per_frame, PAPER_FPS
    return (
        f"A frame takes {measured.seconds_per_frame * 1000:.0f} ms, {fps:.1f} frames a second; "
        f"the paper gives {low} to {high} for the official model on an A100, which cannot be "
        f"compared with another model on another machine. Most of it is {first} "
        f"({times['share'].iloc[0]:.0%}), then {second} ({times['share'].iloc[1]:.0%}). Tracking "
        f"takes {start * 1000:.1f} ms a frame and {slope * 1000:.2f} ms more for each object: with "
        f"{measured.masklets} masklets, {_of_objects(measured):.0%} of it grow with their number"
        f"{', which decides, as the paper says' if _of_objects(measured) > 0.5 else ''}. "
        f"Peak memory was {measured.peak_memory_mib:,.0f} MiB."
    )


def _of_objects(measured: CostMeasurement) -> float:
    """Share of tracking's time that grows with the number of objects, 0 to 1."""
    start, slope = (max(seconds, 0.0) for seconds in measured.fitted())
    return slope * measured.masklets / ((start + slope * measured.masklets) or 1.0)


def ratio_figures(found: BenchmarkFile) -> dict[str, Figure]:
    """The figure of the benchmarks' ratios by name; none where there are no ratios."""
    return {"ratios": figure_ratios(found.rows)} if found.sections else {}


def cost_values(
    study: Study, measured: CostMeasurement, found: BenchmarkFile, text: str
) -> dict[str, Any]:
    """The notebook's values for `result.json`; `text` is its caption."""
    start, slope = measured.fitted()
    tables = {"Work per frame": work_frame(measured), "Time per frame": time_frame(measured)}
    if found.sections:
        tables["Beside other programs (make bench)"] = benchmark_frame(found)
    return {
        "caption": text,
        "measured": measured.model_dump(mode="json"),
        "seconds_per_frame": measured.seconds_per_frame,
        "tracking_fit": {"seconds_per_frame": start, "seconds_per_object": slope},
        "paper_frames_per_second": list(PAPER_FPS),
        "tables": [
            text_table(title, frame.map(_text)).model_dump() for title, frame in tables.items()
        ],
        "reading": cost_reading(measured),
        "notes": [
            "Times differ from run to run and between machines; they carry no interval.",
            *circumstances(found),
        ],
    }


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value:.4g}"
