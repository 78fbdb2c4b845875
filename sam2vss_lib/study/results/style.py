"""What all figures of the study share: colours, and the figure that says why there is none."""

from matplotlib.figure import Figure

from sam2vss_lib.views.palette import BETTER, INK, NEUTRAL, ORANGE, SERIES, WORSE

__all__ = ["BETTER", "INK", "NEUTRAL", "ORANGE", "SERIES", "WORSE", "note"]


def note(text: str) -> Figure:
    """A figure that says why there is no figure."""
    figure = Figure(figsize=(6, 1))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure
