"""The learned vote: the window vote, but an arbiter says where the base model is right."""

from collections.abc import Iterator

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.arbiter import load_arbiter
from sam2vss_lib.fusion.rules.kept import keep_base
from sam2vss_lib.refinement.window import Window

MARGIN = 0.25  # log-odds


def learned_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame."""
    assert window.fusion.arbiter is not None, "as the settings are checked"
    arbiter = load_arbiter(window.fusion.arbiter)
    return keep_base(window, arbiter.columns, lambda frame: arbiter.logits(frame.columns), MARGIN)
