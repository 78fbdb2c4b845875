"""How right predictions are, by the distance of a pixel to the nearest ground-truth boundary."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID
from sam2vss_lib.metrics.bootstrap import paired_share_gain
from sam2vss_lib.metrics.boundary_distance import BIN_STARTS_PX, distance_bins
from sam2vss_lib.metrics.iou import class_counts
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.registry import rule_of
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.style import BETTER, NEUTRAL, ORANGE, note
from sam2vss_lib.study.results.text import range_text
from sam2vss_lib.study.stages import Study
from sam2vss_lib.study.stages.context import Progress
from sam2vss_lib.study.stages.evaluation import predictions_sha256


def accuracy_by_distance(study: Study, pairs: Sequence[tuple[Row, Row]]) -> pd.DataFrame:
    """Accuracy of pairs of base and refined rows that were run, in every bin of distance.

    Returns:
        Columns `base_system`, `system`, `distance_px` (lower end of the bin), `share` (of all
        pixels), `base`, `refined`, `gain`, `low`, `high` (percent and points; the interval is that
        of a paired bootstrap over clips, missing for a single clip). Bins without pixels are left
        out.
    """
    numbers = ["share", "base", "refined", "gain", "low", "high"]
    columns = ["base_system", "system", "distance_px", *numbers]
    if not pairs:
        return pd.DataFrame(columns=columns)
    rows = {row.label: row for pair in pairs for row in pair}
    labelled, counts = _counts(study, [row.run.predictions for row in rows.values()])
    right = dict(zip(rows, counts, strict=True))
    settings = study.settings
    lines: list[tuple[object, ...]] = []
    for base, refined in pairs:
        before, after = right[base.label], right[refined.label]
        for place, start in enumerate(BIN_STARTS_PX):
            pixels = labelled[:, place]
            if not pixels.any():
                continue
            gain = paired_share_gain(
                before[:, place], after[:, place], pixels,
                samples=settings.bootstrap_samples, seed=settings.seed,
            )  # fmt: skip
            total = pixels.sum()
            share = float(total / labelled.sum())
            right_percent = [float(100 * n[:, place].sum() / total) for n in (before, after)]
            measured = (share, *right_percent, gain.gain, gain.low, gain.high)
            lines.append((base.label, refined.label, start, *measured))
    frame = pd.DataFrame(lines, columns=columns)
    return frame.astype(dict.fromkeys(("low", "high"), "float64"))


def _counts(
    study: Study, predictions: list[PredictionFolder]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count once for all predictions, as the distances are the same for all; kept on disk.

    Returns:
        Pixels with ground truth, (clips, bins) int64, and those of them that each of the
        predictions has right, (predictions, clips, bins) int64.
    """
    dataset = study.dataset
    digests = [f"{predictions_sha256(dataset, p)} {p.label_offset}" for p in predictions]
    key = study.key(study.data_sha256, study.settings.stray_labels, *digests)
    count = partial(_count, study, predictions)
    kept = study.kept_values("boundary accuracy", "boundary", key, count)
    shape = (len(predictions), len(dataset), len(BIN_STARTS_PX))
    right = np.array(kept["right"], np.int64).reshape(shape)
    return np.array(kept["labelled"], np.int64), right


def _count(study: Study, predictions: list[PredictionFolder], progress: Progress) -> dict[str, Any]:
    shape = (len(study.dataset), len(BIN_STARTS_PX))
    labelled = torch.zeros(shape, dtype=torch.int64)
    right = torch.zeros((len(predictions), *shape), dtype=torch.int64)
    for place, clip in enumerate(study.dataset):
        for frame in clip.annotated:
            truth = torch.from_numpy(clip.ground_truth(frame)).to(study.device)
            bins = distance_bins(truth)
            labelled[place] += class_counts(bins, bins != VOID, shape[1]).cpu()
            for counted, folder in zip(right, predictions, strict=True):
                labels = torch.from_numpy(folder.read(clip, frame)).to(study.device)
                counted[place] += class_counts(bins, labels == truth, shape[1]).cpu()
        progress(clip.name)
    return {"labelled": labelled.tolist(), "right": right.tolist()}


def boundary_reading(frame: pd.DataFrame) -> str:
    """In words: what refinement changes at boundaries, and far from them."""
    if frame.empty:
        return ""
    ends = frame["distance_px"].min(), frame["distance_px"].max()
    near, far = (range_text(frame.loc[frame["distance_px"] == px, "gain"].tolist()) for px in ends)
    return (
        f"Accuracy on boundaries changes by {near} points, and from {ends[1]} pixels on by {far} "
        f"({frame['system'].nunique()} refined rows)."
    )


BOUNDARY_CAPTION = (
    "Share of right pixels by their distance to the nearest ground-truth boundary, in pixels "
    "(0: on it), before and after refinement. Bars: 95 % intervals over clips of the paired "
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
