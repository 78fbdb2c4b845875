"""The adaptive vote: the window vote, but the base model keeps what the evidence speaks for.

Nothing is trained. The evidence is summed up as if its parts were independent, in nats: how sure
the base model is of its class over a fragment, how much better the pixel's colour suits that class
than the masklet, how the masklet's votes were split, and what the fragment borders on. Weights and
margin were chosen on generated clips of their own and on two real clips of CamVid.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.columns import COLOUR
from sam2vss_lib.fusion.evidence import FrameEvidence
from sam2vss_lib.fusion.rules.kept import Score, keep_base
from sam2vss_lib.refinement.window import Window

MARGIN = 0.75  # nats
WEIGHTS = {"fragment_log_ratio": 1.0, COLOUR: 1.0, "vote_ratio": 1 / 3, "outline": 1.0}


def adaptive_vote(window: Window) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame.

    Of predictions without probabilities the base model's own opinion is not known; then the other
    evidence decides alone.
    """
    return keep_base(window, WEIGHTS, score_of(WEIGHTS), MARGIN)


def score_of(weights: Mapping[str, float]) -> Score:
    """The evidence for the base model, (k,) in nats, by the weights of its columns."""

    def score(frame: FrameEvidence) -> NDArray[np.floating]:
        found = np.zeros(len(frame.places))
        for name, weight in weights.items():
            if name in frame.columns:
                found += weight * frame.columns[name]
        return found

    return score
