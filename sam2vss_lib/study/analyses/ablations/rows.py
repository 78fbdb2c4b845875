"""Tables 4 to 7: the refiner with one setting of the masklets varied, all others at the paper's."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sam2vss_lib.masklets.rows import mask_areas
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.results.schema import Claim, Row
from sam2vss_lib.study.results.style import BETTER, NEUTRAL
from sam2vss_lib.study.results.tables import gains_between, rows_not_run, table_metrics, table_row
from sam2vss_lib.study.results.wording import SMALL_POINTS, Direction, judge
from sam2vss_lib.study.settings.study_settings import Swept
from sam2vss_lib.study.stages import Study

Value = int | float | str
UNREFINED = "not refined"
FIGURE_CAPTION = (
    "Difference to the paper's default value, ours with 95 % intervals and the paper's; grey: "
    "within half a point."
)
FIGURE_ALT = "One panel per metric: lines of our and of the paper's differences by setting."


#: from a value of the setting to another ("first" and "last" are the sweep's), what happens to
#: which metrics
Statement = tuple[Value, Value, Direction, tuple[str, ...]]


class Ablation(NamedTuple):
    """One of the paper's ablation tables."""

    table: int
    heading: str  # what varies, with its unit
    statements: tuple[Statement, ...]  # the paper's reading of the table (section 4.1.2)


_STABLE = ("mVC8", "mVC16")
_ALL: tuple[Direction, tuple[str, ...]] = ("hardly changes", ("mIoU", "FWIoU", *_STABLE))
ABLATIONS: dict[Swept, Ablation] = {
    "window": Ablation(
        4,
        "Window (frames)",
        (
            ("first", "last", "raises", _STABLE),
            ("first", "last", "hardly changes", ("mIoU",)),
        ),
    ),
    "points_per_side": Ablation(5, "Point grid", (("first", "last", *_ALL),)),
    "pred_iou_thresh": Ablation(
        6, "Predicted IoU above", ((0.6, "first", *_ALL), (0.6, 0.9, "lowers", ("mIoU",)))
    ),
    "stability_score_thresh": Ablation(
        7, "Stability from", ((0.8, "first", *_ALL), (0.8, 0.9, "lowers", ("mIoU",)))
    ),
}


def printed(sweep: Swept, value: Value) -> str:
    """A value as the paper's table names its row, such as 16x16."""
    return f"{value}x{value}" if sweep == "points_per_side" else str(value)


def ablation_of(study: Study) -> tuple[Swept, Ablation]:
    """The setting that the study varies, and its table."""
    if study.settings.sweep is None:
        raise ValueError("the settings name no sweep")
    return study.settings.sweep, ABLATIONS[study.settings.sweep]


def ablation_rows(study: Study) -> list[Row]:
    """One row per value of the sweep, for the first base system and the first vote.

    Gains are over the paper's default value, where the sweep holds it.
    """
    sweep, ablation = ablation_of(study)
    table, settings = ablation.table, study.settings
    system, vote = settings.base_systems[0], settings.votes[0]
    if reason := study.why_not(system):
        return rows_not_run(table, [], f"{system.label}: {reason}")
    stores = study.masklets_for(list(settings.masklet_sweep().values()))
    default = printed(sweep, MaskletSettings.model_fields[sweep].default)
    base = study.evaluated(study.base(system))
    runs = {
        printed(sweep, value): study.evaluated(study.refined(system, vote, stores[masklets]))
        for value, masklets in settings.masklet_sweep().items()
    }
    rows = [table_row(table, UNREFINED, "", study.status, evaluated=base)]
    for name, run in runs.items():
        gains = gains_between(settings, runs.get(default), run) if name != default else {}
        over = (default, "") if gains else None
        rows.append(table_row(table, name, "", study.status, over, run, gains))
    reason = f"profile {settings.profile} does not vary it to {{row}}"
    return rows + rows_not_run(table, rows, reason)


def ablation_claims(study: Study, rows: list[Row]) -> list[Claim]:
    """The paper's reading of the table, judged on our rows."""
    sweep, ablation = ablation_of(study)
    runs = {row.method: row.evaluated for row in rows if row.evaluated is not None}
    values = study.settings.sweep_values
    ends: dict[Value, Value] = {"first": values[0], "last": values[-1]}
    claims: list[Claim] = []
    for start, end, direction, metrics in ablation.statements:
        before, after = (printed(sweep, ends.get(value, value)) for value in (start, end))
        if before == after or not {before, after} <= runs.keys():
            continue
        gains = gains_between(study.settings, runs[before], runs[after])
        said = f"{ablation.heading}: going from {before} to {after} {direction}"
        claims += [judge(f"{said} {metric}", gains[metric], direction) for metric in metrics]
    return claims


def masklet_facts(study: Study) -> pd.DataFrame:
    """What each setting changes in the masklets themselves.

    Returns:
        Columns `setting`, `masklets_per_frame`, `coverage` (share of pixels under any masklet).
    """
    sweep, _ = ablation_of(study)
    settings = study.settings.masklet_sweep()
    stores = study.masklets_for(list(settings.values()))
    frames = sum(clip.num_frames for clip in study.dataset)
    lines: list[tuple[str, float, float]] = []
    for value, masklets in settings.items():
        masks = covered = 0.0
        for clip in study.dataset:
            table = stores[masklets].read(clip.name).table
            masks += np.count_nonzero(table["area"].to_numpy())  # those that are not empty
            # visible parts are disjoint, so their areas add up to what is covered
            visible = mask_areas(table["rle_visible"].to_pylist(), *clip.size)
            covered += float(visible.sum()) / math.prod(clip.size)
        lines.append((printed(sweep, value), masks / frames, covered / frames))
    return pd.DataFrame(lines, columns=["setting", "masklets_per_frame", "coverage"])


def difference_frame(rows: list[Row]) -> pd.DataFrame:
    """Differences to the default value, ours with intervals and the paper's, for the figure.

    Returns:
        Columns `setting`, `metric`, `source` (ours or paper), `difference`, `low`, `high`; in
        percentage points.
    """
    lines: list[tuple[object, ...]] = []
    for row in rows:
        for metric in row.ours if row.method != UNREFINED else ():
            if row.evaluated is not None:
                gain = row.gains.get(metric, Gain(0.0, 0.0, 0.0))  # the default over itself
                lines.append((row.method, metric, "ours", gain.gain, gain.low, gain.high))
            if row.paper[metric] is not None:
                difference = row.paper_gains[metric] if row.reference else 0.0
                lines.append((row.method, metric, "paper", difference, None, None))
    return pd.DataFrame(lines, columns=["setting", "metric", "source", "difference", "low", "high"])


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
    labels = {"masklets_per_frame": "masklets per frame", "coverage": "share of pixels covered"}
    for axis, (column, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        axis.plot(range(len(facts)), facts[column], marker="o", color=BETTER)
        axis.set_xticks(range(len(facts)), facts["setting"], fontsize=7)
        axis.set_ylim(0, 1 if column == "coverage" else None)
        axis.set_xlabel(heading, fontsize=8)
        axis.set_ylabel(label, fontsize=8)
        axis.tick_params(axis="y", labelsize=7)
        axis.grid(axis="y", linewidth=0.3)
    return figure
