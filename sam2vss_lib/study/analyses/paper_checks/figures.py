"""Two figures of the paper's own numbers: its ablation curves, and boundary against region IoU."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sam2vss_lib.study.analyses.paper_checks.printed import ABLATION_NAMES, DEFAULTS, sweep
from sam2vss_lib.study.paper import paper_refinements, paper_value
from sam2vss_lib.study.results.style import BETTER, INK, WORSE

#: Okabe-Ito colours and markers, one per metric
_STYLE = {
    "mIoU": (BETTER, "o"),
    "FWIoU": ("#009E73", "s"),
    "mVC8": (WORSE, "^"),
    "mVC16": ("#CC79A7", "D"),
}
_BAND = "#EEEEEE"


def ablation_figure() -> Figure:
    """Every ablated setting by every metric, minus its value at the paper's choice."""
    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    axes = figure.subplots(1, len(DEFAULTS), sharey=True)
    for axis, (table, chosen) in zip(axes, DEFAULTS.items(), strict=True):
        settings = list(sweep(table, "mIoU"))
        place = settings.index(chosen)
        axis.axvspan(place - 0.3, place + 0.3, color=_BAND, zorder=0)
        axis.axhline(0, color=INK, linewidth=0.6)
        for metric, (colour, marker) in _STYLE.items():
            values = sweep(table, metric)
            points = [round(v - values[chosen], 2) for v in values.values()]
            axis.plot(points, color=colour, linewidth=1.3, marker=marker, markersize=3.5)
            best = [n for n, point in enumerate(points) if point == max(points)]
            axis.plot(
                best, [max(points)] * len(best), linestyle="", marker="o", markersize=9,
                markerfacecolor="none", markeredgecolor=colour,
            )  # fmt: skip
        axis.set_xticks(range(len(settings)), settings, fontsize=8)
        axis.set_title(f"Table {table}: {ABLATION_NAMES[table]}", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", linewidth=0.3)
    axes[0].set_ylabel("points over the chosen value", fontsize=8)
    handles = [
        *(Line2D([], [], color=c, marker=m, label=name) for name, (c, m) in _STYLE.items()),
        Line2D([], [], color=_BAND, linewidth=8, label="chosen by the paper"),
        Line2D(
            [], [], linestyle="", marker="o", markersize=9, markerfacecolor="none",
            markeredgecolor=INK, label="best by that metric",
        ),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def boundary_figure() -> Figure:
    """Boundary IoU against region IoU, an arrow from every base system to its refinement."""
    figure = Figure(figsize=(5.8, 4.4), layout="constrained")
    axis = figure.subplots()
    for table, colour, name in ((1, BETTER, "VSPW (Table 1)"), (2, WORSE, "VIPSeg (Table 2)")):
        for base, refined in paper_refinements(table):
            start, end = (
                [paper_value(table, *row, metric) or 0.0 for metric in ("mIoU", "mBIoU")]
                for row in (base, refined)
            )
            arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "lw": 1.2}
            axis.annotate("", (end[0], end[1]), (start[0], start[1]), arrowprops=arrow)
            axis.plot(*start, "o", color=colour, markersize=4)
        axis.plot([], [], "o-", color=colour, markersize=4, label=name)
    axis.axline((40, 40), slope=1, color=INK, linewidth=0.6, linestyle=":")
    axis.set(xlim=(33, 60), ylim=(18, 66), xlabel="mIoU (%)", ylabel="mBIoU (%)")
    axis.text(58.8, 57, "mBIoU = mIoU", fontsize=7, rotation=32, ha="right", va="top", color=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(linewidth=0.3)
    axis.legend(loc="upper left", fontsize=8, frameon=False, title="base → refined")
    return figure
