"""What all figures of the study share: colours, and the figure that says why there is none."""

from matplotlib.figure import Figure

#: Okabe-Ito colours, safe for colour-blind readers
BETTER, WORSE, NEUTRAL = "#0072B2", "#D55E00", "#999999"
#: of things without an order
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
INK, ORANGE = "#333333", "#E69F00"


def note(text: str) -> Figure:
    """A figure that says why there is no figure."""
    figure = Figure(figsize=(6, 1))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure
