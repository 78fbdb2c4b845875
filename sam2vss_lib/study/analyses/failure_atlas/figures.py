"""The failure atlas in pictures: what each cause costs, and its worst example."""

from collections.abc import Mapping
from typing import Any, NamedTuple

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
_GAP = 0.04  # between cut-outs, of their width


def figure_atlas(study: Study, atlas: Atlas | None) -> Figure:
    """A row per cause, the most expensive first: share, frame, truth, base, refined, changes."""
    if atlas is None or not atlas.causes:
        return note("nothing was refined, or nothing spoilt: no failures to show")
    rows = len(atlas.causes)
    figure = Figure(figsize=(11, 1.45 * rows + 0.7), layout="constrained")
    grid = figure.add_gridspec(rows, 2, width_ratios=(0.8, 5))
    _draw_shares(figure.add_subplot(grid[:, 0]), atlas)
    for row, cause in enumerate(atlas.causes):
        axis = figure.add_subplot(grid[row, 1])
        _draw_example(study, atlas, worst_of(atlas, cause)[0], axis, titles=row == 0)
    _add_legend(figure)
    return figure


def figure_fragment(study: Study, atlas: Atlas, fragment: Mapping[str, Any]) -> Figure:
    """One of `worst_of` by itself: frame, truth, base, refined, changes."""
    figure = Figure(figsize=(11, 2.3), layout="constrained")
    _draw_example(study, atlas, fragment, figure.subplots(), titles=True)
    _add_legend(figure)
    names = (study.class_names[fragment[of]] for of in ("right", "painted"))
    figure.suptitle("{}: {} was painted {}".format(fragment["cause"], *names), fontsize=9)
    return figure


def worst_of(atlas: Atlas, cause: str) -> list[dict[str, Any]]:
    """The largest fragments of a cause as columns of `Atlas.fragments`, the largest first."""
    found: Any = atlas.fragments[atlas.fragments["cause"] == cause]
    return found.to_dict("records")


def _draw_shares(axis: Any, atlas: Atlas) -> None:
    """A bar per cause, level with its example."""
    for row, cause in enumerate(atlas.causes):
        percent = 100 * atlas.pixels(cause) / atlas.harmed
        axis.barh(row, percent, color=WORSE, height=0.25)
        axis.text(0, row - 0.2, cause, fontsize=9)
        axis.text(percent + 2, row, f"{percent:.1f} %", fontsize=8, va="center", color=INK)
    axis.set(xlim=(0, 125), ylim=(len(atlas.causes) - 0.5, -0.5), xticks=[], yticks=[])
    axis.set_title("share of the loss", fontsize=8, loc="left")
    axis.spines[:].set_visible(False)


class _Cut(NamedTuple):
    """A part of a frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def around(cls, fragment: Mapping[str, Any], size: tuple[int, ...]) -> "_Cut":
        """A cut-out of one shape with room around the fragment, where the frame has it."""
        tall, wide = _SHAPE
        height = max(2 * fragment["height"], 2 * fragment["width"] * tall // wide, _SMALLEST_PX)
        height = min(height, size[0], size[1] * tall // wide)
        width = height * wide // tall
        top = fragment["y"] + fragment["height"] // 2 - height // 2
        left = fragment["x"] + fragment["width"] // 2 - width // 2
        top, left = np.clip([top, left], 0, [size[0] - height, size[1] - width]).tolist()
        return cls(top, left, height, width)

    def of(self, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The part of an array, (H, W, ...)."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


def _draw_example(
    study: Study, atlas: Atlas, fragment: Mapping[str, Any], axis: Any, *, titles: bool
) -> None:
    """Cut-outs side by side around a fragment; the masklet's outline is drawn on the frame."""
    clip, index = study.dataset.clip(fragment["clip"]), int(fragment["frame"])
    image, truth = clip.frame(index), clip.ground_truth(index)
    base, refined = (r.run.predictions.read(clip, index) for r in (atlas.base, atlas.refined))
    grey = np.repeat(image.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    faded = blend(grey, (np.full_like(image, 255), 0.7))
    classes = len(study.class_names)
    pictures = {
        "frame, masklet": image,
        "ground truth": colour_labels(truth, classes),
        atlas.base.label: colour_labels(base, classes),
        atlas.refined.label: colour_labels(refined, classes),
        "changed pixels": blend(faded, (change_layer(base, refined, truth), 1)),
    }
    cut = _Cut.around(fragment, truth.shape)
    step = cut.width * (1 + _GAP)
    corner = fragment["x"] - cut.left - 1, fragment["y"] - cut.top - 1
    for place, (title, picture) in enumerate(pictures.items()):
        left = place * step
        extent = (left, left + cut.width, cut.height, 0)
        axis.imshow(cut.of(picture), interpolation="nearest", extent=extent)
        for at, size, colour in (
            ((left, 0), (cut.width, cut.height), NEUTRAL),
            ((left + corner[0], corner[1]), (fragment["width"] + 2, fragment["height"] + 2), INK),
        ):
            box = Rectangle(at, *size, fill=False, edgecolor=colour, linewidth=1)
            box.set_clip_path(axis.patch)
            axis.add_patch(box)
        if titles:
            middle = left + cut.width / 2
            axis.annotate(
                title, (middle, 0), (0, 4), textcoords="offset points", ha="center", fontsize=8
            )
    if (mask := _mask(study, fragment)) is not None:
        x, y = np.arange(cut.width) + 0.5, np.arange(cut.height) + 0.5
        for colour, width in (("black", 2.4), ("white", 1.1)):
            axis.contour(x, y, cut.of(mask), levels=[0.5], colors=[colour], linewidths=[width])
    axis.set(xlim=(-0.5, 4 * step + cut.width + 0.5), ylim=(cut.height + 0.5, -0.5))
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.spines[:].set_visible(False)
    where = f"{fragment['clip']}, frame {clip.frames[index]}\n{fragment['pixels']} pixels"
    axis.set_ylabel(where, fontsize=6)


def _mask(study: Study, fragment: Mapping[str, Any]) -> np.ndarray[Any, Any] | None:
    """The masklet to blame on the fragment's frame, (H, W) bool."""
    for parts in study.masklets.read(fragment["clip"]).windows():
        for part in parts:
            if part.frame == fragment["frame"] and fragment["masklet"] >= 0:
                return part.masks()[int(fragment["masklet"])]
    return None


def _add_legend(figure: Figure) -> None:
    marks = ((BETTER, "now right"), (WORSE, "now wrong"), (NEUTRAL, "wrong before and after"))
    handles = [Patch(color=colour, label=text) for colour, text in marks]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, fontsize=7, frameon=False)
