"""A setting's sweep to move through: one frame's masklets at each value, and the curve of a metric.

`render` draws one value and `contact_sheet` all of them, without a notebook; `explore_sweep` puts
sliders on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sam2vss_lib.masklets.store import ClipMasklets, MaskletStore
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.study.analyses.ablations.rows import ablation_of, printed
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.style import BETTER, NEUTRAL, ORANGE, WORSE, note
from sam2vss_lib.study.results.text import gain_text
from sam2vss_lib.study.stages import Study
from sam2vss_lib.views.layers import (
    NO_MASKLET,
    Picture,
    blend,
    change_layer,
    masklet_layer,
)
from sam2vss_lib.widgets.notebook import is_looked_at

METRIC = "mBIoU"  # that the curve shows first, as it moves most


class Shown(NamedTuple):
    """One frame at one value of the sweep."""

    masklets: Picture  # (H, W, 3) uint8, masklets in colours over the frame
    changes: Picture  # (H, W, 3) uint8, what refining changed, over a faded frame
    masklets_shown: int  # those that are not empty
    covered: float  # share of the pixels under any


@dataclass(frozen=True)
class Sweep:
    """What an ablation has left: masklets and refined labels of every value that was run."""

    study: Study
    heading: str  # what varies, with its unit
    base: Row
    rows: Mapping[str, Row]  # by value, as the table names it
    stores: Mapping[str, MaskletStore]

    @classmethod
    def of(cls, study: Study, rows: Sequence[Row]) -> Sweep | None:
        """Find what `ablation_rows` has computed; None where no base system was run."""
        sweep, ablation = ablation_of(study)
        run = {row.method: row for row in rows if row.evaluated is not None}
        settings = study.settings.masklet_sweep()
        folders = study.masklet_folders([*settings.values()], study.dataset)
        named = {printed(sweep, value): folders[of] for value, of in settings.items()}
        stores = {name: MaskletStore(folder) for name, folder in named.items() if name in run}
        base = next((row for row in run.values() if row.method not in named), None)
        if base is None or not stores:
            return None
        return cls(study, ablation.heading, base, {name: run[name] for name in stores}, stores)

    def shown(self, value: str, clip: str, frame: int) -> Shown:
        """A frame, by its index, at a value."""
        of = self.study.dataset.clip(clip)
        image, size = of.frame(frame), of.size
        part = next(
            (
                part
                for window in _masklets(self.stores[value], clip).windows()
                for part in window
                if part.frame == frame
            ),
            None,
        )
        ids = np.full(size, NO_MASKLET, np.int32)
        if part is not None:
            ids = painters(part, self.study.settings.overlap)  # numbers within the window
        base, refined = (
            row.run.predictions.read(of, frame) for row in (self.base, self.rows[value])
        )
        truth = of.ground_truth(frame) if frame in of.annotated else None
        grey = np.repeat(image.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
        faded = blend(grey, (np.full_like(image, 255), 0.75))
        return Shown(
            blend(image, (masklet_layer(ids), 1)),
            blend(faded, (change_layer(base, refined, truth), 1)),
            0 if part is None else int(np.count_nonzero(part.values("area"))),
            float((ids != NO_MASKLET).mean()),
        )

    def start(self) -> tuple[str, int]:
        """The clip whose mIoU depends most on the setting, and the middle of its frames."""
        runs = [row.run.metrics["per_clip"] for row in self.rows.values()]
        spread = {
            of[0]["clip"]: max(found) - min(found)
            for of in zip(*runs, strict=True)
            if (found := [line["mIoU"] for line in of if line["mIoU"] is not None])
        }
        clip = max(spread, key=lambda name: spread[name], default=self.study.dataset.clips[0].name)
        frames = self.study.dataset.clip(clip).annotated
        return clip, frames[len(frames) // 2]


@lru_cache(8)
def _masklets(store: MaskletStore, clip: str) -> ClipMasklets:
    return store.read(clip)


def render(sweep: Sweep, value: str, clip: str, frame: int, metric: str = METRIC) -> Figure:
    """One frame's masklets at a value, what they changed, and where the value is on the curve."""
    shown = sweep.shown(value, clip, frame)
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    _draw(axes[0], shown.masklets, f"{shown.masklets_shown} masklets cover {shown.covered:.0%}")
    _draw(axes[1], shown.changes, "changed pixels")
    _draw_curve(axes[2], sweep, metric, value)
    figure.suptitle(f"{sweep.heading}: {value}; {clip}, frame index {frame}", fontsize=9)
    _add_legend(figure)
    return figure


def contact_sheet(sweep: Sweep, clip: str, frame: int, metric: str = METRIC) -> Figure:
    """Every value beside the others: masklets above, what they changed below, and the curve."""
    columns = len(sweep.rows)
    height, width = sweep.study.dataset.clip(clip).size
    panel = min(10.5 / columns, 2.8)  # inches
    size = (panel * columns + 0.3, 2 * panel * height / width + 3.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(3, columns, height_ratios=(1, 1, 2.2 / (panel * height / width)))
    for column, value in enumerate(sweep.rows):
        shown = sweep.shown(value, clip, frame)
        above, below = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        _draw(above, shown.masklets, f"{value}: {shown.masklets_shown}, {shown.covered:.0%}")
        _draw(below, shown.changes, "")
    _draw_curve(figure.add_subplot(grid[2, :]), sweep, metric)
    title = f"{sweep.heading}: masklets and covered share; {clip}, frame index {frame}"
    figure.suptitle(title, fontsize=9)
    _add_legend(figure)
    return figure


def _draw(axis: Any, picture: Picture, title: str) -> None:
    axis.imshow(picture, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=8)


def _draw_curve(axis: Any, sweep: Sweep, metric: str, value: str | None = None) -> None:
    """A metric by value, in percent, with the unrefined base system; a ring is at the value."""
    values, numbers = [*sweep.rows], [row.ours[metric] for row in sweep.rows.values()]
    y = [np.nan if number is None else number for number in numbers]
    axis.plot(range(len(values)), y, marker="o", markersize=4, color=BETTER, label="refined")
    if (before := sweep.base.ours[metric]) is not None:
        axis.axhline(before, color=NEUTRAL, linestyle="--", label="not refined")
        for x, number in enumerate(numbers):
            if number is not None:
                text = gain_text(number - before, 1)
                axis.annotate(
                    text, (x, number), (0, 6), textcoords="offset points", ha="center", fontsize=7
                )
    if value is not None:
        x = values.index(value)
        axis.plot(x, y[x], marker="o", markersize=12, fillstyle="none", color=ORANGE, mew=2)
    axis.margins(y=0.25)
    axis.set_xticks(range(len(values)), values, fontsize=7)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlabel(sweep.heading, fontsize=8)
    axis.set_ylabel(f"{metric} (%)", fontsize=8)
    axis.legend(fontsize=7, frameon=False)


def _add_legend(figure: Figure) -> None:
    marks = {"now right": BETTER, "now wrong": WORSE, "wrong before and after": NEUTRAL}
    handles = [Patch(color=colour, label=text) for text, colour in marks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7, frameon=False)


def png_of(figure: Figure) -> bytes:
    """A figure for a widget."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def explore_sweep(study: Study, rows: Sequence[Row], *, live: bool | None = None) -> Any:
    """Move a setting through its values.

    Args:
        study: of a notebook that varies a setting.
        rows: as of `ablation_rows`.
        live: whether to give sliders; by default in a notebook that is open in Jupyter.

    Returns:
        A widget, or where nobody can use one, a figure of all values.
    """
    sweep = Sweep.of(study, rows)
    if sweep is None:
        return note("no base system was run: nothing to explore")
    if not (is_looked_at() if live is None else live):
        return contact_sheet(sweep, *sweep.start())
    return _widget(sweep)


def _widget(sweep: Sweep) -> Any:
    """Sliders over values and frames, with the picture of `render` below."""
    import ipywidgets

    clip, frame = sweep.start()
    clips = {of.name: of.num_frames for of in sweep.study.dataset}
    metrics = [*sweep.base.ours]
    value: Any = ipywidgets.SelectionSlider(
        options=[*sweep.rows], value=[*sweep.rows][-1], description=sweep.heading
    )
    chosen: Any = ipywidgets.Dropdown(options=[*clips], value=clip, description="Clip")
    index = ipywidgets.IntSlider(frame, 0, clips[clip] - 1, description="Frame")
    metric: Any = ipywidgets.Dropdown(
        options=metrics, value=METRIC if METRIC in metrics else metrics[0], description="Metric"
    )
    value.style.description_width = "initial"
    picture = ipywidgets.Image(format="png")

    def draw(_change: Any = None) -> None:
        index.max = clips[chosen.value] - 1  # which moves the frame, where the clip is shorter
        figure = render(sweep, value.value, chosen.value, index.value, metric.value)
        picture.value = png_of(figure)

    controls = (value, chosen, index, metric)
    for control in controls:
        control.observe(draw, "value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox(controls), picture])
