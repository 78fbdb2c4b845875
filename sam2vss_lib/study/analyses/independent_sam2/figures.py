"""Figures of Table 3: how far classified masklets are from base systems and from their bound."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sam2vss_lib.study.results.style import BETTER, INK, NEUTRAL, WORSE

#: part -> label, colour, marker, filled, place within an encoder's row (from its top)
_PARTS: dict[str, tuple[str, str, str, bool, float]] = {
    "base": ("X", INK, "D", True, -0.3),
    "alone": ("I-X", WORSE, "o", True, -0.15),
    "filled": ("I-X_base", BETTER, "o", True, 0.0),
    "bound": ("I-X with true classes", WORSE, "s", False, 0.15),
    "bound filled": ("I-X_base with true classes", BETTER, "s", False, 0.3),
}


def figure_parts(frame: pd.DataFrame, metrics: tuple[str, ...]) -> Figure:
    """One panel per metric, one row per encoder: base, I-X, I-X_base and their bounds."""
    systems = list(dict.fromkeys(frame["system"]))
    size = (2.6 * len(metrics) + 1.2, 0.85 * max(len(systems), 1) + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        known = frame[(frame["metric"] == metric) & frame["value"].notna()]
        for name in _PARTS:
            _dots(axis, pd.DataFrame(known[known["part"] == name]), systems, name)
        axis.set_title(f"{metric} (%)", fontsize=9)
        axis.set_yticks(range(len(systems)), systems, fontsize=8)
        for border in range(1, len(systems)):
            axis.axhline(border - 0.5, color=NEUTRAL, linewidth=0.4)
        axis.set_ylim(max(len(systems), 1) - 0.5, -0.5)
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(axis="x", linewidth=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        place = "outside lower center"
        figure.legend(handles, labels, loc=place, ncols=5, fontsize=7, frameon=False)
    else:
        axes[0].text(0, 0, "nothing was run", fontsize=8)
    return figure


def _dots(axis: Axes, part: pd.DataFrame, systems: list[str], name: str) -> None:
    label, colour, marker, solid, offset = _PARTS[name]
    y = [systems.index(system) + offset for system in part["system"]]
    axis.plot(
        part["value"],
        y,
        color=colour,
        marker=marker,
        markerfacecolor=colour if solid else "white",
        markersize=5,
        linestyle="none",
        label=label,
    )
    if name in ("alone", "filled"):
        for system, values in part.groupby("system")["value"]:
            middle = systems.index(str(system)) + offset
            axis.vlines(values.mean(), middle - 0.1, middle + 0.1, color=colour, linewidth=1.5)
