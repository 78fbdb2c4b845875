"""The failure atlas by click: causes, and the largest fragments of each."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from sam2vss_lib.study.analyses.failure_atlas.atlas import Atlas
from sam2vss_lib.study.analyses.failure_atlas.causes import CAUSES
from sam2vss_lib.study.analyses.failure_atlas.figures import figure_fragment, worst_of
from sam2vss_lib.study.stages import Study
from sam2vss_lib.widgets.analyses.sweep import png_of
from sam2vss_lib.widgets.notebook import is_looked_at


def explore_failures(
    study: Study, atlas: Atlas | None, overview: Figure, *, live: bool | None = None
) -> Any:
    """Click through the largest fragments of every cause.

    Args:
        study: that the atlas is of.
        atlas: as of `failure_atlas`.
        overview: as of `figure_atlas`.
        live: whether to give a widget; by default in a notebook that is open in Jupyter.

    Returns:
        A widget, or where nobody can use one or nothing was spoilt, the overview.
    """
    live = is_looked_at() if live is None else live
    if atlas is None or not atlas.causes or not live:
        return overview
    import ipywidgets

    found = {cause: worst_of(atlas, cause) for cause in atlas.causes}
    cause: Any = ipywidgets.ToggleButtons(
        options=[*found], description="Cause", tooltips=[CAUSES[name] for name in found]
    )
    number: Any = ipywidgets.Select(description="Fragment", rows=6)
    picture = ipywidgets.Image(format="png")

    def draw(_change: Any = None) -> None:
        if number.index is not None:  # while its options are replaced
            fragment = found[cause.value][number.index]
            picture.value = png_of(figure_fragment(study, atlas, fragment))

    def list_fragments(_change: Any = None) -> None:
        number.options = [
            "{pixels} px, {clip}, frame index {frame}, masklet {masklet}".format(**one)
            for one in found[cause.value]
        ]
        draw()

    cause.observe(list_fragments, "value")
    number.observe(draw, "index")
    list_fragments()
    return ipywidgets.VBox([ipywidgets.Image(value=png_of(overview)), cause, number, picture])
