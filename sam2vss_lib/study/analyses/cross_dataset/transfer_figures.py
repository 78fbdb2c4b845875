"""The figure of Table 2's question: gains of refinement on two data sets, beside the paper's."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sam2vss_lib.refinement.registry import VOTES, rule_of
from sam2vss_lib.study.analyses.cross_dataset.transfer import METRICS
from sam2vss_lib.study.results.style import INK, NEUTRAL, SERIES

TRANSFER_CAPTION = (
    "Gain of refinement by data set, one dot a system, with 95 % intervals over clips; below, in "
    "grey, what the paper prints for its systems on VSPW (Table 1) and VIPSeg (Table 2)."
)
TRANSFER_ALT = "One panel per metric: dots of gains in points, in one line per data set."
_MARKERS = "osD^vP*X"
_BAND = 0.8  # share of a data set's band that its systems are spread over
_LINE_IN = 0.09  # inches a system


def figure_transfer(gains: pd.DataFrame) -> Figure:
    """Of `gains_by_data`: a panel a metric, a band a data set; colours are votes, marks systems."""
    bands = list(dict.fromkeys(gains["data"]))
    of_ours = gains[gains["source"] == "ours"]
    bases = list(dict.fromkeys(_parts(system)[0] for system in of_ours["system"]))
    markers = {base: _MARKERS[i % len(_MARKERS)] for i, base in enumerate(bases)}
    most = int(gains.value_counts(["data", "metric"]).max())
    height = max(0.65, _LINE_IN * most / _BAND)
    figure = Figure(figsize=(9.0, height * len(bands) + 1.5), layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for axis, metric in zip(axes, METRICS, strict=True):
        for place, band in enumerate(bands):
            part = gains.loc[(gains["data"] == band) & (gains["metric"] == metric)]
            _draw(axis, part.to_dict("records"), place, markers)
        axis.axvline(0, color="black", linewidth=0.8, zorder=1)
        axis.set_title(metric, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(axis="x", linewidth=0.3)
    axes[0].set_yticks(range(len(bands)), bands, fontsize=8)
    axes[0].set_ylim(len(bands) - 0.5, -0.5)
    figure.supxlabel("gain of refinement (points)", fontsize=8)
    votes = dict.fromkeys(_parts(system)[1] for system in of_ours["system"])
    handles = [
        *(_handle(INK, markers[base], base) for base in bases),
        *(_handle(_colour(vote), "o", vote) for vote in votes),
        _handle(NEUTRAL, "o", "paper"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, fontsize=7, frameon=False)
    return figure


def _handle(colour: str, marker: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=label)


def _parts(system: str) -> tuple[str, str]:
    """Base system and vote of a refined row's label."""
    rule = rule_of(system)
    return system.replace(rule.suffix, "").removeprefix("SAM2-"), rule.title


def _colour(title: str) -> str:
    """Of a vote, by its place among all."""
    places = [rule.title for rule in VOTES.values()]
    return SERIES[places.index(title) % len(SERIES)]


def _draw(axis: Any, part: list[Any], place: int, markers: dict[str, str]) -> None:
    """The systems of one data set, spread over its band in their order from top to bottom."""
    for i, line in enumerate(part):
        y = place + _BAND * ((i + 0.5) / len(part) - 0.5)
        colour, marker = NEUTRAL, "o"
        if line["source"] == "ours":
            base, vote = _parts(line["system"])
            colour, marker = _colour(vote), markers[base]
        axis.plot([line["low"], line["high"]], [y, y], color=colour, linewidth=1.2, zorder=2)
        axis.plot([line["gain"]], [y], color=colour, marker=marker, markersize=4, zorder=3)
