"""Figures of Tables 4 to 7: what varying one setting of the masklets does."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sam2vss_lib.study.results.style import BETTER, NEUTRAL
from sam2vss_lib.study.results.tables import table_metrics
from sam2vss_lib.study.results.wording import SMALL_POINTS


def figure_differences(frame: pd.DataFrame, heading: str) -> Figure:
    """One panel per metric: differences of `difference_frame`, ours with intervals, the paper's."""
    order = list(dict.fromkeys(frame["setting"]))
    metrics = table_metrics()
    figure = Figure(figsize=(2.1 * len(metrics) + 0.6, 2.7), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True)
    for axis, metric in zip(axes, metrics, strict=True):
        axis.axhspan(-SMALL_POINTS, SMALL_POINTS, color="#eeeeee", zorder=0)
        axis.axhline(0, color=NEUTRAL, linewidth=0.8, zorder=1)
        part = frame.query("metric == @metric")
        for source, style in (
            ("ours", {"color": BETTER, "marker": "o", "linewidth": 1.5}),
            ("paper", {"color": "black", "marker": "D", "linewidth": 0.8, "linestyle": ":"}),
        ):
            _draw(axis, part.query("source == @source"), order, source, style)
        axis.set_title(metric, fontsize=9)
        axis.set_xticks(range(len(order)), order, fontsize=7, rotation=45 if len(order) > 4 else 0)
        axis.tick_params(axis="y", labelsize=7)
        axis.set_xlabel(heading, fontsize=8)
        axis.grid(axis="y", linewidth=0.3)
    axes[0].set_ylabel("points over the default", fontsize=8)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    return figure


def _draw(
    axis: Any, part: pd.DataFrame, order: list[str], source: str, style: dict[str, Any]
) -> None:
    """One line; a metric that the paper does not print has none of the paper's."""
    part = part.dropna(subset=["difference"])
    if part.empty:
        return
    x = [order.index(setting) for setting in part["setting"]]
    axis.plot(x, part["difference"], label=source, markersize=4, **style)
    whole = part.dropna(subset=["low", "high"])
    if not whole.empty:
        x = [order.index(setting) for setting in whole["setting"]]
        axis.vlines(x, whole["low"], whole["high"], color=style["color"], linewidth=1)


def figure_masklets(facts: pd.DataFrame, heading: str) -> Figure:
    """Number of masklets and share of the frame they cover, by setting; of `masklet_facts`."""
    figure = Figure(figsize=(6.2, 2.5), layout="constrained")
    for axis, (column, label) in zip(
        figure.subplots(1, 2),
        (("masklets_per_frame", "masklets per frame"), ("coverage", "share of pixels covered")),
        strict=True,
    ):
        axis.plot(range(len(facts)), facts[column], marker="o", color=BETTER)
        axis.set_xticks(range(len(facts)), facts["setting"], fontsize=7)
        axis.set_ylim(0, 1 if column == "coverage" else None)
        axis.set_xlabel(heading, fontsize=8)
        axis.set_ylabel(label, fontsize=8)
        axis.tick_params(axis="y", labelsize=7)
        axis.grid(axis="y", linewidth=0.3)
    return figure
