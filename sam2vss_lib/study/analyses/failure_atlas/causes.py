"""Why refinement spoilt a pixel: one cause for each, by what the masklet on top of it covers.

A pixel is harmed where the base model was right and the refined label is wrong; pixels without
ground truth never are. The masklet on top of it gave it its class, and is to blame. `CAUSES` are
asked in their order, and the first that applies is the pixel's.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.metrics.bands import inner_band
from sam2vss_lib.metrics.fragments import connected

PURE = 0.8  # share of one class from which on a masklet counts as being of it alone
THIN_PX = 2  # distance to another ground-truth label, along the sides or diagonally
#: cause -> what it means; in the order in which they are asked
CAUSES = {
    "void": "More than half of the masklet's pixels have no ground truth or no prediction.",
    "competing masklets": "A masklet below it voted for the right class: another order of the two "
    "would have kept it.",
    "drift": f"At least {PURE:.0%} of the masklet's labelled pixels were of one class on the first "
    "frame of its window, and fewer of them are of this class now.",
    "wrong majority": "The masklet voted for another class than most of its labelled pixels have: "
    "the base model is wrong in most of it.",
    "thin structure": f"The fragment lies within {THIN_PX} pixels of another label everywhere: a "
    "thin thing, or an outline that is missed narrowly.",
    "several classes": "The masklet's vote is right for most of it, but it covers this class too.",
    "no masklet": "No masklet has painted it: a vote rule of another kind did.",
}
_VOID, _COMPETING, _DRIFT, _MAJORITY, _THIN, _SEVERAL, _NO_MASKLET = range(len(CAUSES))


class Fragment(NamedTuple):
    """Harmed pixels that touch, by a corner too, of one cause under one masklet."""

    cause: str  # of `CAUSES`
    masklet: int  # index in its window, -1 for none
    pixels: int
    x: int  # of its box, like y in pixels from the top left corner
    y: int
    width: int  # of its box, like the height in pixels
    height: int
    right: int  # the class that most of it has
    painted: int  # the class that most of it was given


class Frame(NamedTuple):
    """A frame with ground truth, before and after its masklets were painted."""

    truth: Labels  # (H, W) uint8, like the other labels with void 255
    base: Labels  # (H, W) uint8
    refined: Labels  # (H, W) uint8
    masks: NDArray[np.bool_]  # (n, H, W)
    classes: NDArray[np.uint8]  # (n,) what they voted for, 255 for those that paint nothing
    top: NDArray[np.integer]  # (H, W) index of the masklet that painted a pixel, -1 for none

    @property
    def harmed(self) -> NDArray[np.bool_]:
        """(H, W) pixels that were right and are wrong."""
        right = self.base == self.truth
        return right & (self.refined != self.truth) & (self.truth != VOID)


@dataclass
class WindowMasklets:
    """What the masklets of a window cover, frame by frame in order."""

    #: masklet -> the class of most of its labelled pixels on the first frame on which it had any,
    #: and whether it was pure there
    _first: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def fragments(self, frame: Frame) -> list[Fragment]:
        """The fragments of the window's next frame, of which every harmed pixel is in one."""
        rows, columns = np.nonzero(frame.harmed)
        under = frame.top[rows, columns].astype(np.int64)
        causes = self._causes(frame, under)
        right = frame.truth[rows, columns]
        voted_right = frame.classes[:, None] == right
        rivals = (frame.masks[:, rows, columns] & voted_right).any(0)
        causes[rivals & (causes != _VOID) & (under >= 0)] = _COMPETING
        number = connected(rows, columns, causes * (len(frame.masks) + 1) + under)
        count = int(number.max(initial=-1)) + 1
        if (causes == _SEVERAL).any():
            near = inner_band(torch.from_numpy(frame.truth), THIN_PX).numpy()[rows, columns]
            thin = np.ones(count, np.bool_)
            thin[number[~near]] = False
            causes[(causes == _SEVERAL) & thin[number]] = _THIN
        if not count:
            return []
        order = np.argsort(number, kind="stable")
        sizes = np.bincount(number)
        starts = np.cumsum(sizes) - sizes
        left, top = (np.minimum.reduceat(one[order], starts) for one in (columns, rows))
        width, height = (
            np.maximum.reduceat(one[order], starts) + 1 - low
            for one, low in ((columns, left), (rows, top))
        )
        names, first = [*CAUSES], order[starts]
        painted = frame.refined[rows, columns]
        parts = (under[first], sizes, left, top, width, height)
        labels = (_most_frequent(number, of) for of in (right, painted))
        numbers = zip(*(one.tolist() for one in (*parts, *labels)), strict=True)
        by_name = (names[cause] for cause in causes[first].tolist())
        return [Fragment(name, *of) for name, of in zip(by_name, numbers, strict=True)]

    def _causes(self, frame: Frame, under: NDArray[np.int64]) -> NDArray[np.int64]:
        """Causes of pixels by the masklets that they are under, (n,), those of single pixels apart.

        What every masklet covers on its first frame is remembered for those that follow.
        """
        by_masklet = np.full(len(frame.masks) + 1, _SEVERAL)
        by_masklet[-1] = _NO_MASKLET
        unlabelled = (frame.truth == VOID) | (frame.base == VOID)
        to_blame = {*np.unique(under).tolist()} - {-1}
        for index in sorted(to_blame | ({*range(len(frame.masks))} - self._first.keys())):
            mask = frame.masks[index]
            counts = np.bincount(frame.truth[mask], minlength=VOID + 1)[:VOID]
            labelled, main = int(counts.sum()), int(counts.argmax())
            if not labelled:
                continue
            known = index in self._first
            first, was_pure = self._first.setdefault(index, (main, counts[main] >= PURE * labelled))
            if 2 * np.count_nonzero(unlabelled[mask]) > np.count_nonzero(mask):
                by_masklet[index] = _VOID
            elif known and was_pure and counts[first] < PURE * labelled:
                by_masklet[index] = _DRIFT
            elif main != frame.classes[index]:
                by_masklet[index] = _MAJORITY
        return by_masklet[under]


def _most_frequent(number: NDArray[np.intp], labels: Labels) -> NDArray[np.intp]:
    """The label that most pixels of each fragment have, the lowest among equals."""
    counts = np.bincount(number * (VOID + 1) + labels, minlength=(number.max() + 1) * (VOID + 1))
    return counts.reshape(-1, VOID + 1).argmax(1)
