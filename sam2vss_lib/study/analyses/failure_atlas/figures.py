"""The failure atlas in pictures: what each cause costs, and its worst example."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from sam2vss_lib.study.analyses.failure_atlas.atlas import Atlas
from sam2vss_lib.study.results.style import BETTER, INK, NEUTRAL, WORSE, note
from sam2vss_lib.study.stages import Study
from sam2vss_lib.views.layers import blend, change_layer, colour_labels

ATLAS_CAPTION = (
    "What the first refinement spoils, by cause, and the largest fragment of each cause (boxed). "
    "The outline in the frame is that of the masklet to blame."
)
ATLAS_ALT = "A row a cause: its share of the loss, then cut-outs of one frame."
_SHAPE = (3, 4)  # height to width of cut-outs
_SMALLEST_PX = 36  # height of a cut-out


def figure_atlas(study: Study, atlas: Atlas | None) -> Figure:
    """A row per cause, the most expensive first: share, frame, truth, base, refined, changes."""
    if atlas is None or not atlas.causes:
        return note("nothing was refined, or nothing spoilt: no failures to show")
    rows, columns = len(atlas.causes), 1 + len(_titles(atlas))
    figure = Figure(figsize=(11, 1.45 * rows + 0.7), layout="constrained")
    widths = (0.8, *[1] * (columns - 1))
    axes = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    for cause, row in zip(atlas.causes, axes, strict=True):
        _draw_share(row[0], cause, 100 * atlas.pixels(cause) / atlas.harmed)
        _draw_example(study, atlas, worst_of(atlas, cause)[0], row[1:])
    axes[0, 0].set_title("share of the loss", fontsize=8)
    _add_heads(figure, axes[0, 1:], atlas)
    return figure


def figure_fragment(study: Study, atlas: Atlas, fragment: Mapping[str, Any]) -> Figure:
    """One of `worst_of` by itself: frame, truth, base, refined, changes."""
    titles = _titles(atlas)
    figure = Figure(figsize=(11, 2.3), layout="constrained")
    axes = figure.subplots(1, len(titles))
    _draw_example(study, atlas, fragment, axes)
    _add_heads(figure, axes, atlas)
    names = (study.class_names[fragment[of]] for of in ("right", "painted"))
    figure.suptitle("{}: {} was painted {}".format(fragment["cause"], *names), fontsize=9)
    return figure


def worst_of(atlas: Atlas, cause: str) -> list[dict[str, Any]]:
    """The largest fragments of a cause as columns of `Atlas.fragments`, the largest first."""
    found: Any = atlas.fragments[atlas.fragments["cause"] == cause]
    return found.to_dict("records")


def _titles(atlas: Atlas) -> tuple[str, ...]:
    names = atlas.base.label, atlas.refined.label
    return ("frame, masklet", "ground truth", *names, "changed pixels")


def _add_heads(figure: Figure, axes: Any, atlas: Atlas) -> None:
    for axis, title in zip(axes, _titles(atlas), strict=True):
        axis.set_title(title, fontsize=8)
    marks = ((BETTER, "now right"), (WORSE, "now wrong"), (NEUTRAL, "wrong before and after"))
    handles = [Patch(color=colour, label=text) for colour, text in marks]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, fontsize=7, frameon=False)


def _draw_share(axis: Any, cause: str, percent: float) -> None:
    axis.barh(0, percent, color=WORSE, height=0.4)
    axis.text(0, 0.42, cause, fontsize=9, va="bottom")
    axis.text(percent + 2, 0, f"{percent:.1f} %", fontsize=8, va="center", color=INK)
    axis.set(xlim=(0, 125), ylim=(-0.6, 1), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _draw_example(study: Study, atlas: Atlas, fragment: Mapping[str, Any], axes: Any) -> None:
    """Cut-outs around a fragment; the masklet's outline is drawn on the frame."""
    clip, index = study.dataset.clip(fragment["clip"]), int(fragment["frame"])
    image, truth = clip.frame(index), clip.ground_truth(index)
    base, refined = (r.run.predictions.read(clip, index) for r in (atlas.base, atlas.refined))
    grey = np.repeat(image.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    faded = blend(grey, (np.full_like(image, 255), 0.7))
    coloured = [colour_labels(m, len(study.class_names)) for m in (truth, base, refined)]
    changes = blend(faded, (change_layer(base, refined, truth), 1))
    top, left, height, width = _cut(fragment, truth.shape)
    for axis, picture in zip(axes, (image, *coloured, changes), strict=True):
        axis.imshow(picture, interpolation="nearest")
        corner = fragment["x"] - 1.5, fragment["y"] - 1.5
        box = Rectangle(corner, fragment["width"] + 2, fragment["height"] + 2)
        box.set(fill=False, edgecolor=INK, linewidth=1)
        axis.add_patch(box)
        axis.set(xlim=(left - 0.5, left + width - 0.5), ylim=(top + height - 0.5, top - 0.5))
        axis.set(xticks=[], yticks=[])
    if (mask := _mask(study, fragment)) is not None:
        axes[0].contour(mask, levels=[0.5], colors=["black"], linewidths=2.4)
        axes[0].contour(mask, levels=[0.5], colors=["white"], linewidths=1.1)
    where = f"{fragment['clip']}, frame {clip.frames[index]}\n{fragment['pixels']} pixels"
    axes[0].set_ylabel(where, fontsize=6)


def _mask(study: Study, fragment: Mapping[str, Any]) -> np.ndarray[Any, Any] | None:
    """The masklet to blame on the fragment's frame, (H, W) bool."""
    for parts in study.masklets.read(fragment["clip"]).windows():
        for part in parts:
            if part.frame == fragment["frame"] and fragment["masklet"] >= 0:
                return part.masks()[int(fragment["masklet"])]
    return None


def _cut(fragment: Mapping[str, Any], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, left, height and width of a cut-out of one shape, with room around the fragment."""
    tall, wide = _SHAPE
    height = max(2 * fragment["height"], 2 * fragment["width"] * tall // wide, _SMALLEST_PX)
    height = min(height, size[0], size[1] * tall // wide)
    width = height * wide // tall
    top = fragment["y"] + fragment["height"] // 2 - height // 2
    left = fragment["x"] + fragment["width"] // 2 - width // 2
    return (
        int(np.clip(top, 0, size[0] - height)), int(np.clip(left, 0, size[1] - width)),
        int(height), int(width),
    )  # fmt: skip
