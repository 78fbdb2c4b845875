"""What the adaptive vote weighs on a frame, whichever is chosen: evidence, score and margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.fusion.evidence import FrameEvidence, gather, steady
from sam2vss_lib.fusion.rules import adaptive
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.stores import Choice

MARGIN, WEIGHTS = adaptive.MARGIN, adaptive.WEIGHTS
#: why labels here can differ from those of `refine`
NO_GATE = (
    "The gate decides on whole clips and is not applied here: refine keeps the base model's labels "
    "of a clip whose masklets deserve no trust."
)


@dataclass(frozen=True)
class SceneEvidence:
    """The evidence of one frame about the k pixels where base model and window vote differ."""

    frame: FrameEvidence
    score: NDArray[np.floating]  # (k,) in nats, steady in time: above the margin the base stays
    margin: float = MARGIN

    def at(self, place: int) -> dict[str, float] | None:
        """The parts of a pixel's score and, last, the score; None where nothing is disputed."""
        found = np.flatnonzero(self.frame.places == place)
        if not len(found):
            return None
        parts = {
            name: float(weight * self.frame.columns[name][found[0]])
            for name, weight in WEIGHTS.items()
            if name in self.frame.columns
        }
        return {**parts, "steady in time": float(self.score[found[0]])}


def evidence_of(data: ExplorerData, scene: Scene, choice: Choice) -> SceneEvidence | None:
    """What `adaptive` weighs on a frame with the masklets of a choice; None without masklets."""
    place = data.opened(scene.clip, choice).place(scene.frame)
    if place is None:
        return None
    number, index = place

    def weigh() -> list[SceneEvidence]:
        found = data.window(scene, choice)
        if found is None or not found[0].chosen.any():
            return []
        frames = gather(found[0], WEIGHTS).frames
        scores = steady(frames, [adaptive.score_of(WEIGHTS)(frame) for frame in frames])
        return [*map(SceneEvidence, frames, scores)]

    key = scene._replace(frame=number), choice._replace(vote="adaptive")
    window = data.evidence.get(key, weigh)
    return window[index] if window else None
