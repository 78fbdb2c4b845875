"""The evidence, column by column: what is known of disputed pixels without ground truth.

A column is a function from the disputed pixels of a frame to (k,) numbers. None of them names a
class, a position or a colour, so that what is learnt from them holds for other classes too. Those
of `PROBABILITY` need a base model's probabilities. Another column is a function and a line here.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.fusion.disputed import Disputed, Values

_LEAST_SHARE = 0.02  # of a masklet's votes, added to both sides of a ratio
_BOX_PX = 15  # how far around a pixel its surroundings go, each way
_FAR_COLOUR = 150.0  # where a class has no agreed pixel around
_NEIGHBOURS = (-2, -1, 1, 2)  # frames that count as near in time


def log_ratio(disputed: Disputed) -> Values:
    """Log p(base's class) - log p(vote's class)."""
    return disputed.log_ratio


def fragment_log_ratio(disputed: Disputed) -> Values:
    """The log-ratio averaged over the fragment."""
    return disputed.fragment_log_ratio


def vote_ratio(disputed: Disputed) -> Values:
    """Log of the base's class's share of the masklet's votes in the window over the vote's."""
    return _share_ratio(disputed, disputed.window.all_votes)


def frame_vote_ratio(disputed: Disputed) -> Values:
    """The same of the votes on this frame."""
    return _share_ratio(disputed, disputed.window.votes(disputed.index))


def outline(disputed: Disputed) -> Values:
    """How much of the fragment's outline touches the base's class, less that of the vote's.

    A fragment that continues a region of its class is rather right than one that lies in the other.
    """
    height, width = disputed.top.shape
    across = width + 2  # with an edge around
    labels = np.full((height + 2, across), VOID)
    labels[1:-1, 1:-1] = disputed.base_labels
    labels = labels.ravel()
    place = (disputed.rows + 1) * across + disputed.columns + 1
    parts = np.full(labels.size, -1, np.int32)
    parts[place] = disputed.fragment
    balance, length = np.zeros((2, len(disputed.fragment_px)))
    for step in (1, across, -1, -across):
        sides = np.flatnonzero(parts.take(place + step) != disputed.fragment)
        label, own = labels.take(place[sides] + step), disputed.fragment.take(sides)
        towards = (label == disputed.base.take(sides)).view(np.int8)
        towards -= label == disputed.vote.take(sides)
        balance += np.bincount(own, towards, len(balance))
        length += np.bincount(own, minlength=len(length))
    return (balance / np.maximum(length, 1)).take(disputed.fragment).astype(np.float32)


def fragment_size(disputed: Disputed) -> Values:
    """Log of the fragment's share of the masklet on this frame."""
    size = disputed.fragment_px[disputed.fragment]
    area = disputed.window.parts[disputed.index].values("area")[disputed.masklet]
    return np.log(size / np.maximum(area, 1)).astype(np.float32)


def base_around(disputed: Disputed) -> Values:
    """Share of the box around the pixel that is agreed to be of the base's class."""
    return _around(disputed, disputed.base)


def vote_around(disputed: Disputed) -> Values:
    """The same of the vote's class."""
    return _around(disputed, disputed.vote)


def persistence(disputed: Disputed) -> Values:
    """On how many of the frames near in time the base says its class here, less the vote's."""
    balance, count = np.zeros(len(disputed.places), np.float32), 0
    for offset in _NEIGHBOURS:
        if 0 <= disputed.index + offset < len(disputed.window):
            labels = disputed.window.labels(disputed.index + offset).ravel()[disputed.places]
            balance += (labels == disputed.base).astype(np.float32)
            balance -= labels == disputed.vote
            count += 1
    return balance / np.float32(max(count, 1))


def near_colour(disputed: Disputed) -> Values:
    """How much nearer the colour is to the mean of agreed pixels around of the base's class.

    That is, the distance to the mean of those of the vote's class less that one, over 255.
    """
    distances = [_colour_distance(disputed, of) for of in (disputed.vote, disputed.base)]
    return (distances[0] - distances[1]) / np.float32(255)


def age(disputed: Disputed) -> Values:
    """Frames since the window's first, as a share of 32."""
    return np.full(len(disputed.places), disputed.index / 32, np.float32)


def predicted_iou(disputed: Disputed) -> Values:
    """The score of the masklet's proposal."""
    return _of_masklet(disputed, "predicted_iou")


def stability(disputed: Disputed) -> Values:
    """The stability of the masklet's proposal."""
    return _of_masklet(disputed, "stability")


class Column(NamedTuple):
    """A column and which part of the evidence it belongs to."""

    code: Callable[[Disputed], Values]
    part: str  # probabilities, votes, shape, colour, time or scores


PROBABILITY = "probabilities"
#: `colour`, the log-ratio of `ColourModels`, is made when a window's colours are all counted
COLOUR = "colour"
COLUMNS: dict[str, Column] = {
    "log_ratio": Column(log_ratio, PROBABILITY),
    "fragment_log_ratio": Column(fragment_log_ratio, PROBABILITY),
    "vote_ratio": Column(vote_ratio, "votes"),
    "frame_vote_ratio": Column(frame_vote_ratio, "votes"),
    "outline": Column(outline, "shape"),
    "fragment_size": Column(fragment_size, "shape"),
    "base_around": Column(base_around, "shape"),
    "vote_around": Column(vote_around, "shape"),
    "near_colour": Column(near_colour, COLOUR),
    "persistence": Column(persistence, "time"),
    "age": Column(age, "time"),
    "predicted_iou": Column(predicted_iou, "scores"),
    "stability": Column(stability, "scores"),
}


def _share_ratio(disputed: Disputed, votes: NDArray[np.int64]) -> Values:
    shares = votes / np.maximum(votes.sum(1, keepdims=True), 1) + _LEAST_SHARE
    logs = np.log(shares).astype(np.float32)
    row = disputed.masklet * np.intp(logs.shape[1])
    return logs.take(row + disputed.base) - logs.take(row + disputed.vote)


def _of_masklet(disputed: Disputed, column: str) -> Values:
    return disputed.window.parts[disputed.index].values(column)[disputed.masklet]


def _around(disputed: Disputed, classes: Labels) -> Values:
    """Share of the box around each pixel that is agreed to be of its class, (k,)."""
    found = np.zeros(len(classes), np.float32)
    for label in np.unique(classes).tolist():
        some = np.flatnonzero(classes == label)
        around = _Surroundings(disputed, some)
        found[some] = around.mean(around.agreed(label))
    return found


def _colour_distance(disputed: Disputed, classes: Labels) -> Values:
    """Distance of each pixel's colour to the mean of the agreed ones of a class around it, (k,)."""
    found = np.full(len(classes), _FAR_COLOUR, np.float32)
    for label in np.unique(classes).tolist():
        some = np.flatnonzero(classes == label)
        around = _Surroundings(disputed, some)
        agreed, image = around.agreed(label), disputed.image[around.crop]
        share = around.mean(agreed)
        seen = share > 0
        colour = [around.mean(image[..., channel] * agreed)[seen] for channel in range(3)]
        apart = disputed.pixels[some[seen]] - np.stack(colour, -1) / share[seen, None]
        found[some[seen]] = np.sqrt((apart**2).sum(-1))
    return found


class _Surroundings:
    """The boxes around some of the disputed pixels, and the part of the frame that they lie in."""

    def __init__(self, disputed: Disputed, some: NDArray[np.intp]) -> None:
        self._disputed = disputed
        rows, columns = disputed.rows[some], disputed.columns[some]
        height, width = disputed.top.shape
        self._top, self._bottom = (rows - _BOX_PX).clip(0), (rows + _BOX_PX + 1).clip(max=height)
        self._left, self._right = (
            (columns - _BOX_PX).clip(0),
            (columns + _BOX_PX + 1).clip(max=width),
        )
        down = slice(int(self._top.min()), int(self._bottom.max()))
        across = slice(int(self._left.min()), int(self._right.max()))
        self.crop = down, across
        self._area = (self._bottom - self._top) * (self._right - self._left)
        for ends, part in (
            (self._top, down),
            (self._bottom, down),
            (self._left, across),
            (self._right, across),
        ):
            ends -= part.start

    def agreed(self, label: int) -> NDArray[np.bool_]:
        """Where base and vote agree on a label, in the part."""
        disputed = self._disputed
        return disputed.agreed[self.crop] & (disputed.base_labels[self.crop] == label)

    def mean(self, values: NDArray[np.generic]) -> Values:
        """Mean of values of the part in each box, (k,)."""
        sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1), np.int32)
        np.cumsum(values.cumsum(0, dtype=np.int32), 1, out=sums[1:, 1:])
        inside = sums[self._bottom, self._right] - sums[self._top, self._right]
        inside += sums[self._top, self._left] - sums[self._bottom, self._left]
        return (inside / self._area).astype(np.float32)
