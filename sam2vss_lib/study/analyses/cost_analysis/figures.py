"""Figures of the cost analysis: where time goes, what an object adds, ratios to other programs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement, time_frame
from sam2vss_lib.study.results.style import BETTER, NEUTRAL


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
    axis.plot(
        line,
        (start + slope * line) * 1000,
        color=NEUTRAL,
        label=f"{start * 1000:.1f} ms + {slope * 1000:.2f} ms per object",
    )
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
