"""The figure of Table 2's question: gains of refinement on two data sets, beside the paper's."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sam2vss_lib.study.figures import NEUTRAL
from sam2vss_lib.study.transfer import METRICS

CAPTION = (
    "Gain of refinement by data set, one dot a system, with 95 % intervals over clips; below, in "
    "grey, what the paper prints for its systems on VSPW (Table 1) and VIPSeg (Table 2)."
)
ALT = "One panel per metric: dots of gains in points, in one line per data set."
_MARKERS = "osD^vP*X"
_LINE_HEIGHT = 0.72  # share of a data set's band that its systems are spread over


def figure_transfer(gains: pd.DataFrame) -> Figure:
    """One panel per metric, one band per data set; the same system has the same mark in both.

    Args:
        gains: of `transfer.gains_by_data`.
    """
    bands = list(dict.fromkeys(gains["data"]))
    ours = list(dict.fromkeys(gains.loc[gains["source"] == "ours", "system"]))
    colours = dict(zip(ours, sns.color_palette("colorblind", len(ours)), strict=True))
    markers = {system: _MARKERS[i % len(_MARKERS)] for i, system in enumerate(ours)}
    figure = Figure(figsize=(9.0, 0.65 * len(bands) + 1.5), layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for axis, metric in zip(axes, METRICS, strict=True):
        for place, band in enumerate(bands):
            part = gains.loc[(gains["data"] == band) & (gains["metric"] == metric)]
            _draw(axis, part.to_dict("records"), place, colours, markers)
        axis.axvline(0, color="black", linewidth=0.8, zorder=1)
        axis.set_title(metric, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(axis="x", linewidth=0.3)
    axes[0].set_yticks(range(len(bands)), bands, fontsize=8)
    axes[0].set_ylim(len(bands) - 0.5, -0.5)
    figure.supxlabel("gain of refinement (points)", fontsize=8)
    handles = [
        Line2D([], [], color=colours[s], marker=markers[s], linestyle="", markersize=5, label=s)
        for s in ours
    ]
    handles.append(
        Line2D([], [], color=NEUTRAL, marker="o", linestyle="", markersize=5, label="paper")
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=7, frameon=False)
    return figure


def _draw(
    axis: Any, part: list[Any], place: int, colours: dict[str, Any], markers: dict[str, str]
) -> None:
    """The systems of one data set, spread over its band in their order from top to bottom."""
    for i, line in enumerate(part):
        y = place + _LINE_HEIGHT * ((i + 0.5) / len(part) - 0.5)
        is_ours = line["source"] == "ours"
        colour = colours[line["system"]] if is_ours else NEUTRAL
        marker = markers[line["system"]] if is_ours else "o"
        axis.plot([line["low"], line["high"]], [y, y], color=colour, linewidth=1.2, zorder=2)
        axis.plot([line["gain"]], [y], color=colour, marker=marker, markersize=4, zorder=3)
