"""The figure of accuracy against distance to the boundary, one panel a base system."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sam2vss_lib.refinement.registry import rule_of
from sam2vss_lib.study.results.style import BETTER, NEUTRAL, ORANGE, note

BOUNDARY_CAPTION = (
    "Share of right pixels by their distance to the nearest ground-truth boundary, in pixels (0: "
    "on it), before and after refinement. Bars: 95 % intervals over clips of the paired "
    "difference, drawn from the base system's value."
)
BOUNDARY_ALT = (
    "One panel a base system: a grey line of the base system's accuracy, lines of the refined."
)
#: of the refined rows of a base system, in their order
_STYLES: list[dict[str, Any]] = [
    {"color": BETTER, "marker": "o"},
    {"color": ORANGE, "marker": "s", "linestyle": "--"},
]
_PANELS_A_ROW = 4


def figure_boundary(frame: pd.DataFrame) -> Figure:
    """One panel per base system of `accuracy_by_distance`, all with the same axes."""
    if frame.empty:
        return note("no base system was run: no boundaries to look at")
    systems = frame["base_system"].unique().tolist()
    starts = sorted(frame["distance_px"].unique())
    columns = min(len(systems), _PANELS_A_ROW)
    rows = -(-len(systems) // columns)
    figure = Figure(figsize=(2.6 * columns + 0.6, 2.3 * rows + 0.7), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis, system in zip(axes.flat, systems, strict=False):
        _draw(axis, frame.query("base_system == @system"), starts, system)
    for axis in axes.flat[len(systems) :]:
        axis.set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.supxlabel("distance to the nearest boundary (pixels, from)", fontsize=8)
    figure.supylabel("right pixels (%)", fontsize=8)
    return figure


def _draw(axis: Any, part: pd.DataFrame, starts: list[int], base_system: str) -> None:
    """Lines of a base system and its refinements, side by side so that bars do not overlap."""
    refined = part["system"].unique().tolist()
    base = part[part["system"] == refined[0]]
    x = np.array([starts.index(start) for start in base["distance_px"]])
    axis.plot(x, base["base"], color=NEUTRAL, marker="D", markersize=3, label="base system")
    for place, system in enumerate(refined):
        lines = part[part["system"] == system]
        style = _STYLES[place % len(_STYLES)]
        moved = x + 0.12 * (2 * place - len(refined) + 1)
        label = f"refined{rule_of(system).suffix}"
        axis.plot(moved, lines["refined"], markersize=3, label=label, **style)
        ends = (lines["base"] + lines["low"], lines["base"] + lines["high"])
        axis.vlines(moved, *ends, color=style["color"], linewidth=1)
    axis.set_title(base_system, fontsize=9)
    axis.set_xticks(range(len(starts)), [str(start) for start in starts], fontsize=7)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axis.set_ylim(top=101)  # there is no more than 100
    axis.tick_params(labelsize=7)
    axis.grid(axis="y", linewidth=0.3)
