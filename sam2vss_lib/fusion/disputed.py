"""The pixels of a frame that a window vote would change, and what they lie among."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.fusion.probabilities import corners, log_probability
from sam2vss_lib.metrics.fragments import connected
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.refinement.window import Changes, Window

Values = NDArray[np.float32]


@dataclass
class Disputed:
    """Where a base model and the window vote differ on one frame: k pixels.

    Pixels without a prediction are not disputed: there the vote has its way.
    """

    window: Window
    index: int  # of the frame in its window
    classes: Labels  # (n,) of the masklets, 255 for those that do not vote

    @cached_property
    def base_labels(self) -> Labels:
        """The base model's labels, (H, W) uint8."""
        return self.window.labels(self.index)

    @cached_property
    def top(self) -> NDArray[np.int32]:
        """Index of the masklet on top of each pixel, (H, W); -1 where none votes."""
        return painters(self.window.parts[self.index], self.window.overlap, self.classes)

    @cached_property
    def vote_labels(self) -> Labels:
        """What the window vote would paint, (H, W) uint8; void where none votes."""
        return np.append(self.classes, np.uint8(VOID)).take(self.top)  # -1 is the last

    @cached_property
    def covered(self) -> NDArray[np.bool_]:
        """(H, W) pixels with a prediction, under masklets that vote."""
        return (self.vote_labels != VOID) & (self.base_labels != VOID)

    @cached_property
    def agreed(self) -> NDArray[np.bool_]:
        """(H, W) covered pixels on which base model and vote agree."""
        return self.covered & (self.vote_labels == self.base_labels)

    @cached_property
    def changes(self) -> Changes:
        """What painting the votes changes."""
        changed = (self.vote_labels != VOID) & (self.vote_labels != self.base_labels)
        places = np.flatnonzero(changed)
        return Changes(places, self.vote_labels.take(places))

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """The disputed pixels, (k,) in row-major order, ascending."""
        changed = self.changes.places
        return changed[self.base_labels.take(changed) != VOID]

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """(k,)."""
        return self.places // self.top.shape[1]

    @cached_property
    def columns(self) -> NDArray[np.intp]:
        """(k,)."""
        return self.places % self.top.shape[1]

    @cached_property
    def masklet(self) -> NDArray[np.int32]:
        """The masklet on top of each pixel, (k,)."""
        return self.top.take(self.places)

    @cached_property
    def base(self) -> Labels:
        """What the base model says, (k,)."""
        return self.base_labels.take(self.places)

    @cached_property
    def vote(self) -> Labels:
        """What the masklet has voted for, (k,)."""
        return self.classes.take(self.masklet)

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """One number, (k,), for masklet, hence its vote, and base: a dispute through time."""
        return self.masklet << 8 | self.base

    @cached_property
    def fragment(self) -> NDArray[np.intp]:
        """Number of each pixel's fragment, (k,): a connected part of a dispute."""
        return connected(self.rows, self.columns, self.group)

    @cached_property
    def fragment_px(self) -> NDArray[np.intp]:
        """Pixels of every fragment."""
        return np.bincount(self.fragment)

    def over_fragments(self, values: NDArray[np.floating]) -> Values:
        """Means over the fragments of values, (k,), at each pixel again."""
        sums = np.bincount(self.fragment, values)
        return (sums / self.fragment_px).take(self.fragment).astype(np.float32)

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The frame, (H, W, 3) RGB."""
        return self.window.clip.frame(self.window.parts[self.index].frame)

    @cached_property
    def probabilities(self) -> NDArray[np.float16] | None:
        """The base model's, (C, h, w), where there are some."""
        return self.window.probabilities(self.index)

    @cached_property
    def log_ratio(self) -> Values:
        """Log p(base's class) - log p(vote's class), (k,); only where there are probabilities."""
        probabilities = self.probabilities
        assert probabilities is not None, "asked for where there are probabilities"
        at = corners(self.rows, self.columns, self.top.shape, probabilities.shape[1:])
        ratio = log_probability(probabilities, self.base, at)
        ratio -= log_probability(probabilities, self.vote, at)
        return ratio / np.float32(self.window.fusion.temperature)

    @cached_property
    def fragment_log_ratio(self) -> Values:
        """The log-ratio averaged over the fragment, (k,)."""
        return self.over_fragments(self.log_ratio)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """Colours, (k, 3)."""
        return self.image.reshape(-1, 3).take(self.places, 0)
