"""Notebook 08: the cost measured once per machine, kept, put into words and drawn."""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import (
    PAPER_FPS,
    BenchmarkFile,
    Comparison,
    benchmark_frame,
    circumstances,
)
from sam2vss_lib.study.analyses.cost_analysis.measure import measure_cost
from sam2vss_lib.study.analyses.cost_analysis.measurement import (
    CostMeasurement,
    time_frame,
    work_frame,
)
from sam2vss_lib.study.results.style import BETTER, NEUTRAL
from sam2vss_lib.study.results.tables import text_table
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.context import Progress
from sam2vss_lib.study.stages.provenance import device_name, package_versions

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
    first, second, *_ = times["part"]
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
    per_frame, per_object = measured.fitted()
    tables = {"Work per frame": work_frame(measured), "Time per frame": time_frame(measured)}
    if found.sections:
        tables["Beside other programs (make bench)"] = benchmark_frame(found)
    return {
        "caption": text,
        "measured": measured.model_dump(mode="json"),
        "seconds_per_frame": measured.seconds_per_frame,
        "tracking_fit": {"seconds_per_frame": per_frame, "seconds_per_object": per_object},
        "paper_frames_per_second": list(PAPER_FPS),
        "tables": [text_table(name, one.map(_text)).model_dump() for name, one in tables.items()],
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


def figure_parts(measured: CostMeasurement) -> Figure:
    """One bar per part of the work on a frame, in milliseconds."""
    times = time_frame(measured)
    figure = Figure(figsize=(6.2, 2.8), layout="constrained")
    axis = figure.subplots()
    colours = sns.color_palette("colorblind", len(times))
    bars = axis.barh(times["part"], times["seconds_per_frame"] * 1000, color=colours)
    axis.bar_label(bars, [f" {share:.0%}" for share in times["share"]], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("ms per frame", fontsize=9)
    axis.margins(x=0.12)
    axis.grid(axis="x", linewidth=0.3)
    return figure


def figure_objects(measured: CostMeasurement) -> Figure:
    """Time of a tracked frame against the number of objects, and the line fitted to it."""
    start, slope = measured.fitted()
    line = np.array([0, max(measured.objects)])
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axis = figure.subplots()
    fitted = f"{start * 1000:.1f} ms + {slope * 1000:.2f} ms per object"
    axis.plot(line, (start + slope * line) * 1000, color=NEUTRAL, label=fitted)
    times_ms = np.array(measured.track_seconds) * 1000
    axis.plot(measured.objects, times_ms, "o", color=BETTER, label="measured")
    axis.set_xlabel("objects", fontsize=9)
    axis.set_ylabel("ms per frame, tracking", fontsize=9)
    axis.set_ylim(bottom=0)
    axis.grid(linewidth=0.3)
    axis.legend(fontsize=8)
    return figure


def figure_ratios(rows: Sequence[Comparison]) -> Figure:
    """One bar per ratio to another program, on a logarithmic axis; a colour per benchmark."""
    shown = [row for row in rows if row.ratio_best is not None]
    sections = list(dict.fromkeys(row.section for row in shown))
    colours = dict(zip(sections, sns.color_palette("colorblind", len(sections)), strict=True))
    figure = Figure(figsize=(9, 1.2 + 0.27 * len(shown)), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(shown):
        ratio = row.ratio_best or 0.0
        axis.barh(place, ratio - 1, left=1, color=colours[row.section])
        axis.text(max(ratio, 1), place, f" {ratio:.2f}", va="center", fontsize=8)
    axis.set_yticks(range(len(shown)), [_ratio_label(row) for row in shown], fontsize=8)
    axis.set_ylim(len(shown) - 0.3, -0.7)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.axvline(1, color="black", linewidth=1)
    axis.margins(x=0.13)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_xlabel("ratio of the other to ours (above 1: less time, work or memory)", fontsize=9)
    axis.grid(axis="x", linewidth=0.3)
    return figure


def _ratio_label(row: Comparison) -> str:
    amount = "" if row.unit == "s" else f"{row.unit}, "
    frames = f"{row.frames} frames, " if row.unit == "MiB" else ""
    return f"{row.section}: {row.case}, {amount}{frames}v {row.other}"
