"""Gains of refinement by class and by clip, as coloured cells."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.style import BETTER, INK, WORSE, note
from sam2vss_lib.study.results.text import gain_text

_GAIN_COLOURS = LinearSegmentedColormap.from_list("gain", [WORSE, "white", BETTER])


def gains_frame(
    pairs: list[tuple[Row, Row]], group: Literal["class", "clip"], names: tuple[str, ...]
) -> pd.DataFrame:
    """IoU gain of every class, by its name, or mIoU gain of every clip, for several refined rows.

    Returns:
        Columns `system`, `name`, `gain` (percentage points); undefined gains are left out.
    """
    key, value = ("per_class", "iou") if group == "class" else ("per_clip", "mIoU")
    lines: list[dict[str, object]] = []
    for base, refined in pairs:
        entries = zip(base.run.metrics[key], refined.run.metrics[key], strict=True)
        for before, after in entries:
            if before[value] is None or after[value] is None:
                continue
            name = names[before["class"]] if group == "class" else before["clip"]
            gain = after[value] - before[value]
            lines.append({"system": refined.label, "name": name, "gain": gain})
    return pd.DataFrame(lines, columns=["system", "name", "gain"])


def figure_gains(frame: pd.DataFrame, quantity: str) -> Figure:
    """A table of coloured cells: a line per class or clip, a column per system, best line first."""
    if frame.empty:
        return note("no base system was run: no gains to show")
    table = frame.pivot_table(index="name", columns="system", values="gain", sort=False)
    table = table.loc[table.mean(axis=1).sort_values(ascending=False, kind="stable").index]
    shown = table if len(table) <= 40 else pd.concat([table[:20], table[-20:]])
    rows, columns = shown.shape
    size = (0.4 * columns + 3.4, 0.21 * rows + 2.3)
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    values = shown.to_numpy(dtype=float)
    largest = float(np.nanmax(np.abs(values))) or 1.0
    image = axis.imshow(values, cmap=_GAIN_COLOURS, vmin=-largest, vmax=largest, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = gain_text(None if np.isnan(value) else value, 1)
        dark = abs(value) > 0.7 * largest
        colour = "white" if dark else INK
        axis.text(x, y, text, ha="center", va="center", fontsize=6, color=colour)
    axis.set_xticks(range(columns), shown.columns, rotation=90, fontsize=7)
    axis.set_yticks(range(rows), shown.index, fontsize=7)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if rows < len(table):
        axis.set_title(f"the 20 largest and 20 smallest of {len(table)}", fontsize=8)
        axis.axhline(19.5, color=INK, linewidth=0.8)
    bar = figure.colorbar(image, ax=axis, shrink=min(1.0, 12 / rows), aspect=15)
    bar.set_label(quantity, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
