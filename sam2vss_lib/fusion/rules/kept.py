"""What all rules that weigh evidence have in common: base labels kept where a score is high."""

from collections.abc import Callable, Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.evidence import FrameEvidence, WindowEvidence, gather, steady
from sam2vss_lib.refinement.window import Window

#: from a frame's evidence to scores, (k,)
Score = Callable[[FrameEvidence], NDArray[np.floating]]


def keep_base(
    window: Window,
    wanted: Collection[str],
    score: Score,
    margin: float,
    *,
    in_time: bool = True,
) -> Iterator[Labels]:
    """Refined labels, (H, W) uint8, frame by frame: the window vote's, or the base model's.

    The base model keeps the disputed pixels whose score, made steady if `in_time`, is above the
    settings' margin, else the one given. `score` takes a frame's evidence in the columns `wanted`.
    """
    limit = margin if window.fusion.margin is None else window.fusion.margin
    window.trust.margin = limit
    evidence = gather(window, wanted)
    kept = kept_places(evidence, score, limit, in_time=in_time)
    for index, (frame, places) in enumerate(zip(evidence.frames, kept, strict=True)):
        labels = window.painted(index, evidence.classes, frame.voted)
        if labels.size:  # a window may want some of its frames only
            np.put(labels, places, window.labels(index).take(places))
        yield labels


def kept_places(
    evidence: WindowEvidence, score: Score, margin: float, *, in_time: bool = True
) -> list[NDArray[np.intp]]:
    """Places of the pixels, in row-major order, that the base model keeps on each frame."""
    scores = [score(frame) for frame in evidence.frames]
    if in_time:
        scores = steady(evidence.frames, scores)
    pairs = zip(evidence.frames, scores, strict=True)
    return [frame.places[values > margin] for frame, values in pairs]
