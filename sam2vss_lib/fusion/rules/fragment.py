"""The fragment vote: the window vote, but the base model keeps fragments that it is sure of."""

from collections.abc import Iterator

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.rules.kept import keep_base
from sam2vss_lib.refinement.window import Window

MARGIN = 3.0  # nats


def fragment_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame.

    A fragment, the connected part of a masklet where base model and vote differ, stays as it is
    where the base model's log-ratio of the two classes, averaged over it, is above the margin.
    """
    name = "fragment_log_ratio"
    return keep_base(window, [name], lambda frame: frame.columns[name], MARGIN, in_time=False)
