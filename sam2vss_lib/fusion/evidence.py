"""One pass over a window that gathers the evidence about all of its disputed pixels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.colours import ColourModels, colour_bins
from sam2vss_lib.fusion.columns import COLOUR, COLUMNS, PROBABILITY
from sam2vss_lib.fusion.disputed import Disputed, Values
from sam2vss_lib.fusion.probabilities import expected_errors_px
from sam2vss_lib.refinement.counting import winning_classes
from sam2vss_lib.refinement.window import Changes, Window

_FIRM = 2.0  # log-ratio over a fragment, in nats, from which on a base model is sure
_COLOUR_EVERY = 2  # frames
_NEAR = 2  # frames before and behind that make a score steady


@dataclass
class FrameEvidence:
    """What is known of the k disputed pixels of one frame."""

    places: NDArray[np.intp]  # (k,) in the frame, row-major, ascending
    group: NDArray[np.int32]  # (k,) one number for each dispute of the window
    base: Labels  # (k,) what the base model says
    masklet: NDArray[np.int32]  # (k,) which is on top
    columns: dict[str, Values]  # (k,) each
    voted: Changes  # what the window vote changes, also where the base model says nothing


@dataclass
class WindowEvidence:
    """What is known of a window's disputed pixels."""

    classes: Labels  # (n,) that the masklets have voted for, 255 for those without a vote
    frames: list[FrameEvidence]


def gather(window: Window, wanted: Iterable[str]) -> WindowEvidence:
    """Gather columns of `COLUMNS`, and `colour`; those of probabilities are left out without any.

    What the gate asks for is added up in the window's `trust` on the way. Frames are gone through
    once; only disputed pixels are kept.
    """
    wanted = list(wanted)
    classes = winning_classes(window.all_votes)
    colours = ColourModels(window.predictions.num_classes, len(classes))
    frames, bins = list[FrameEvidence](), list[NDArray[np.intp]]()
    for index in range(len(window)):
        disputed = Disputed(window, index, classes)
        _count(disputed)
        found = {
            name: COLUMNS[name].code(disputed)
            for name in wanted
            if name != COLOUR and _has(disputed, name)
        }
        if COLOUR in wanted:
            if index % _COLOUR_EVERY == 0:
                colours.add(disputed.image, disputed.agreed, disputed.base_labels, disputed.top)
            bins.append(colour_bins(disputed.pixels))
        own = disputed.places, disputed.group, disputed.base, disputed.masklet
        frames.append(FrameEvidence(*own, found, disputed.changes))
    if COLOUR in wanted:
        for frame, pixels in zip(frames, bins, strict=True):
            frame.columns[COLOUR] = colours.log_ratio(frame.base, frame.masklet, pixels)
    return WindowEvidence(classes, frames)


def _has(disputed: Disputed, name: str) -> bool:
    """Whether a column can be had, which those of probabilities cannot be without any."""
    return COLUMNS[name].part != PROBABILITY or disputed.probabilities is not None


def _count(disputed: Disputed) -> None:
    """Add a frame to what the gate looks at."""
    trust = disputed.window.trust
    trust.changed_px += len(disputed.places)
    trust.covered_px += int(disputed.covered.sum())
    if (probabilities := disputed.probabilities) is None:
        trust.has_probabilities = False
        return
    temperature = disputed.window.fusion.temperature
    trust.expected_px += expected_errors_px(probabilities, disputed.covered, temperature)
    if len(disputed.places):
        trust.firm_px += int((disputed.fragment_log_ratio > _FIRM).sum())


def steady(
    frames: Sequence[FrameEvidence], scores: Sequence[NDArray[np.floating]]
) -> list[NDArray[np.float64]]:
    """Scores, (k,) of each frame, made steady in time, so that labels do not flicker.

    A dispute is a masklet, the base's class and the vote's. Half of a score stays; 0.35 become its
    mean over those of the five frames around on which the pixel is in the same dispute, and 0.15
    the mean over the dispute in the whole window.
    """
    if not frames:
        return []
    groups = np.concatenate([frame.group for frame in frames])
    total, size = np.bincount(groups, np.concatenate(scores)), np.bincount(groups)
    mean = total / np.maximum(size, 1)
    summed = [values.astype(np.float64) for values in scores]
    count = [np.ones(len(values)) for values in scores]
    last_place = max((int(frame.places[-1]) for frame in frames if len(frame.places)), default=0)
    group_at, score_at = np.full(last_place + 1, -1, np.int32), np.zeros(last_place + 1)
    for other, near in enumerate(frames):
        group_at[near.places], score_at[near.places] = near.group, scores[other]
        for index in range(max(other - _NEAR, 0), min(other + _NEAR + 1, len(frames))):
            if index != other:
                places = frames[index].places
                same = group_at.take(places) == frames[index].group
                summed[index] += same * score_at.take(places)
                count[index] += same
        group_at[near.places] = -1
    return [
        0.5 * scores[index] + 0.35 * (summed[index] / count[index]) + 0.15 * mean.take(frame.group)
        for index, frame in enumerate(frames)
    ]
