"""Figures of the study: each takes data and gives a matplotlib figure, without showing it."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID
from sam2vss_lib.datasets.labels import Labels, class_palette
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.style import BETTER, INK, NEUTRAL, WORSE, note
from sam2vss_lib.study.results.text import gain_text
from sam2vss_lib.study.stages.study import Evaluated, Study
from sam2vss_lib.views.layers import change_layer, colour_labels


class Sample(NamedTuple):
    """One frame of Figure 3."""

    clip: str  # name of the clip
    frame: str  # frame name
    gain: float  # the clip's mIoU gain by refinement in percentage points
    image: NDArray[np.uint8]  # (H, W, 3) uint8
    ground_truth: Labels  # (H, W) uint8, void 255
    base: Labels  # (H, W) uint8
    refined: Labels  # (H, W) uint8


def main_figure(study: Study, pairs: list[tuple[Row, Row]]) -> Figure:
    """Figure 3 for the first refinement that was run; says so when there is none."""
    if not pairs:
        return note("no base system was run: nothing to show")
    base, refined = pairs[0]
    samples = pick_samples(study, base.run, refined.run)
    return figure_3(samples, study.class_names, (base.label, refined.label))


def pick_samples(study: Study, base: Evaluated, refined: Evaluated, count: int = 4) -> list[Sample]:
    """Middle frames of clips spread evenly over the ranking by gain, best and worst included.

    Of a clip with sparse ground truth, the middle one of the annotated frames.
    """
    gains = refined.gains_by_clip(base, "mIoU")
    ranked = sorted(gains, key=lambda clip: (-gains[clip], clip))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))
    samples: list[Sample] = []
    for name in (ranked[place] for place in places):
        clip = study.dataset.clip(name)
        middle = clip.annotated[len(clip.annotated) // 2]
        samples.append(
            Sample(
                name,
                clip.frames[middle],
                gains[name],
                clip.frame(middle),
                clip.ground_truth(middle),
                base.predictions.read(clip, middle),
                refined.predictions.read(clip, middle),
            )
        )
    return samples


def change_map(sample: Sample) -> NDArray[np.float64]:
    """(H, W, 3) in 0..1: labelled pixels that were changed, to right or not, over a faded image."""
    grey = sample.image.mean(-1, keepdims=True) / 255
    shown = np.repeat(0.75 + 0.2 * grey, 3, axis=-1)
    changes = change_layer(sample.base, sample.refined, sample.ground_truth)
    changed = changes[..., 3] > 0
    shown[changed] = changes[changed, :3] / 255
    return shown


def figure_3(samples: list[Sample], class_names: tuple[str, ...], names: tuple[str, str]) -> Figure:
    """Frame, ground truth, base, refined, and what changed, one row per sample."""
    titles = ("frame", "ground truth", names[0], names[1], "changed pixels")
    height, width = samples[0].ground_truth.shape
    panel = 2.2  # inches
    size = (panel * len(titles) + 0.9, (panel * height / width + 0.12) * len(samples) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(samples), len(titles), squeeze=False)
    for row, sample in zip(axes, samples, strict=True):
        maps = (sample.ground_truth, sample.base, sample.refined)
        coloured = [colour_labels(labels, len(class_names)) for labels in maps]
        pictures = (sample.image, *coloured, change_map(sample))
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        label = f"{sample.clip}\nframe {sample.frame}\nmIoU {sample.gain:+.1f}"
        row[0].set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    handles = _legend(samples, class_names)
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=7)
    return figure


def _legend(samples: list[Sample], class_names: tuple[str, ...]) -> list[Patch]:
    """Classes that occur in the samples, void and the marks of change."""
    maps = [m for s in samples for m in (s.ground_truth, s.base, s.refined)]
    present = np.unique(np.concatenate([np.unique(m) for m in maps]))
    palette = class_palette(len(class_names)) / 255
    handles = [Patch(color=tuple(palette[c]), label=class_names[c]) for c in present if c != VOID]
    handles.append(Patch(color="black", label="void"))
    marks = ((BETTER, "now right"), (WORSE, "now wrong"), (NEUTRAL, "wrong before and after"))
    return handles + [Patch(color=colour, label=text) for colour, text in marks]


_GAIN_COLOURS = LinearSegmentedColormap.from_list("gain", [WORSE, "white", BETTER])


def gains_frame(
    pairs: list[tuple[Row, Row]], group: Literal["class", "clip"], names: tuple[str, ...]
) -> pd.DataFrame:
    """IoU gain of every class, by its name, or mIoU gain of every clip, for several refined rows.

    Returns:
        Columns `system`, `name`, `gain` (percentage points); undefined gains are left out.
    """
    key, value = ("per_class", "iou") if group == "class" else ("per_clip", "mIoU")
    lines = [
        (refined.label, before[group], after[value] - before[value])
        for base, refined in pairs
        for before, after in zip(base.run.metrics[key], refined.run.metrics[key], strict=True)
        if before[value] is not None and after[value] is not None
    ]
    if group == "class":
        lines = [(system, names[number], gain) for system, number, gain in lines]
    return pd.DataFrame(lines, columns=["system", "name", "gain"])


def figure_gains(frame: pd.DataFrame, quantity: str) -> Figure:
    """A table of coloured cells: a line per class or clip, a column per system, best line first."""
    if frame.empty:
        return note("no base system was run: no gains to show")
    table = frame.pivot_table(index="name", columns="system", values="gain", sort=False)
    table = table.loc[table.mean(axis=1).sort_values(ascending=False, kind="stable").index]
    shown = table if len(table) <= 40 else pd.concat([table[:20], table[-20:]])
    rows, columns = shown.shape
    figure = Figure(figsize=(0.4 * columns + 3.4, 0.21 * rows + 2.3), layout="constrained")
    axis = figure.subplots()
    values = shown.to_numpy(dtype=float)
    largest = float(np.nanmax(np.abs(values))) or 1.0
    image = axis.imshow(values, cmap=_GAIN_COLOURS, vmin=-largest, vmax=largest, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = gain_text(None if np.isnan(value) else value, 1)
        colour = "white" if abs(value) > 0.7 * largest else INK  # on a dark cell
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
