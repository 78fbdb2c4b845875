"""Views as figures: course over a clip, clips by gain, a pixel, and a sheet with all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.storage.files import atomic_path
from sam2vss_lib.views.layers import Picture
from sam2vss_lib.views.palette import BETTER, INK, NEUTRAL, ORANGE, WORSE, label_colours
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.measures import ClipMeasures, Lives
from sam2vss_lib.widgets.pictures import LAYERS, frame_view, layer_view
from sam2vss_lib.widgets.pixels import PixelFacts
from sam2vss_lib.widgets.stores import Choice

PAPER_WIDTH_IN = 6.875  # of two columns, as conferences print them


def class_name(data: ExplorerData, label: int) -> str:
    """A label in words."""
    return "void" if label == VOID else data.class_names[label]


def timeline_view(
    base: ClipMeasures, refined: ClipMeasures, lived: Lives, frame: int | None = None
) -> Figure:
    """Frame by frame: mIoU and boundary score before and after, changed share, masklets' lives."""
    figure = Figure(figsize=(PAPER_WIDTH_IN, 4.4), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True)
    for axis, name in ((axes[0], "miou"), (axes[1], "boundary")):
        for run, colour, label in ((base, NEUTRAL, "base"), (refined, BETTER, "refined")):
            axis.plot(getattr(run, name), color=colour, label=label, linewidth=1.4)
    axes[2].fill_between(range(refined.frames), refined.changed, color=ORANGE, linewidth=0)
    axes[3].step(range(refined.frames), lived.present, where="mid", color=INK, linewidth=1)
    axes[3].bar(range(refined.frames), lived.births, color=BETTER, label="new")
    axes[3].bar(range(refined.frames), -lived.deaths, color=WORSE, label="gone")
    for axis, title in zip(axes, ("mIoU (%)", "mBIoU (%)", "changed (%)", "masklets"), strict=True):
        axis.set_ylabel(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        if frame is not None:
            axis.axvline(frame, color=INK, linewidth=0.8, linestyle=":")
    axes[0].legend(fontsize=7, frameon=False, ncols=2)
    axes[3].legend(fontsize=7, frameon=False, ncols=2)
    axes[3].set_xlabel(f"frame of {refined.clip}", fontsize=8)
    return figure


def clips_view(data: ExplorerData, base: str) -> Figure:
    """Clips by what refinement does to their mIoU, the worst first."""
    gains = data.gains.get(base, {})
    names = [name for name in data.ranked(base) if name in gains]
    figure = Figure(figsize=(PAPER_WIDTH_IN, 0.22 * len(names) + 0.8), layout="constrained")
    axis = figure.subplots()
    values = [gains[name] for name in names]
    axis.barh(names, values, color=[BETTER if value >= 0 else WORSE for value in values])
    axis.invert_yaxis()
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.tick_params(labelsize=7)
    axis.set_xlabel(f"mIoU gain over {base} (points)", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def pixel_view(data: ExplorerData, facts: PixelFacts, most: int = 6) -> Figure:
    """The votes of the masklet on top of a pixel, and the pixel's labels through the window."""
    figure = Figure(figsize=(PAPER_WIDTH_IN, 2.2), layout="constrained")
    votes_axis, history_axis = figure.subplots(1, 2)
    colours = label_colours(data.num_classes) / 255
    top = facts.candidates[0] if facts.candidates else None
    votes = list(top.votes.items())[:most] if top else []
    names = [class_name(data, label) for label, _ in votes]
    votes_axis.barh(names, [n for _, n in votes], color=[colours[label] for label, _ in votes])
    votes_axis.invert_yaxis()
    said = f"masklet {top.masklet}: votes (px)" if top else "no masklet covers this pixel"
    votes_axis.set_title(said, fontsize=8)
    for row, name in enumerate(("base", "refined")):
        for moment in facts.history:
            label = getattr(moment, name)
            history_axis.barh(row, 1, left=moment.frame - 0.5, color=colours[label], height=0.8)
    history_axis.set_yticks([0, 1], ["base", "refined"])
    history_axis.invert_yaxis()
    history_axis.set_title(f"pixel ({facts.x}, {facts.y}) through its window", fontsize=8)
    for axis in (votes_axis, history_axis):
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def contact_sheet(data: ExplorerData, scene: Scene, choice: Choice) -> Figure:
    """A frame with every layer there is, each by itself."""
    drawn: dict[str, Picture] = {"Frame": frame_view(data, scene, choice)}
    for name, title in LAYERS.items():
        if layer_view(data, scene, choice, name) is not None:
            opacity = 1.0 if name in ("changes", "masklets", "boundary") else 0.7
            drawn[title] = frame_view(data, scene, choice, [(name, opacity)])
    height, width = data.clip(scene.clip).size
    columns = 4
    rows = -(-len(drawn) // columns)
    panel = 2.3
    size = panel * columns, (panel * height / width + 0.3) * rows + 0.4
    figure = Figure(figsize=size, layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.axis("off")
    for axis, (title, picture) in zip(axes, drawn.items(), strict=False):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(title, fontsize=8)
    gain = data.gains.get(scene.base, {}).get(scene.clip)
    said = "" if gain is None else f", mIoU {gain:+.1f} in this clip"
    figure.suptitle(f"{scene.base}, {scene.clip}, frame {scene.frame}{said}\n{choice}", fontsize=8)
    return figure


def save(view: Picture | Figure, path: str | Path, width_in: float = PAPER_WIDTH_IN) -> Path:
    """Write a view as the path's suffix says, .svg, .pdf or .png, as wide as a paper's page.

    A picture is not resampled: its pixels are stretched to the width.
    """
    path = Path(path)
    if not isinstance(view, Figure):
        height, width = view.shape[:2]
        figure = Figure(figsize=(width_in, width_in * height / width))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.axis("off")
        axis.imshow(view, interpolation="nearest", aspect="auto")
    else:
        figure = view
    before: Any = figure.get_size_inches()
    figure.set_size_inches(width_in, width_in * before[1] / before[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png", dpi=300)
    finally:
        figure.set_size_inches(*before)
    return path


def default_scene(data: ExplorerData) -> tuple[Scene, Choice]:
    """What is shown first: the middle of the clip that refinement harms most, as it was stored."""
    base = next(iter(data.bases))
    clip = data.ranked(base)[0]
    choice = Choice.of(data.stores_of(clip).settings[0])
    frames = data.clip(clip).annotated or range(data.clip(clip).num_frames)
    return Scene(clip, base, frames[len(frames) // 2]), choice
