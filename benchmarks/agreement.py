"""How far the masks of two programs are apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.masklets.store import ClipMasklets, FrameMasklets

Masks = NDArray[np.bool_]
_SAME_PREDICTED_IOU = 1e-3
_SAME_STABILITY_PX = 2  # a logit at a threshold moves a ratio of areas by one pixel


@dataclass
class Differences:
    """How far masklets of two programs are apart, clip by clip.

    Attributes:
        anchors: windows that either has masklets in.
        other_proposals: windows in which not the same proposals survived; not compared further.
        masklets: in the others.
        ious: of every masklet and frame; 1 where both masks are empty.
        offsets: frames since the masklet was proposed, beside `ious`.
        pixels: of refined maps.
        other_pixels: of these, pixels of another class.
    """

    anchors: int = 0
    other_proposals: int = 0
    masklets: int = 0
    ious: list[float] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    pixels: int = 0
    other_pixels: int = 0

    def add_masklets(self, ours: ClipMasklets, theirs: ClipMasklets) -> None:
        """Compare the windows of a clip."""
        windows = [{int(w[0].frame): w for w in one.windows()} for one in (ours, theirs)]
        for anchor in sorted({*windows[0], *windows[1]}):
            pair = [one.get(anchor, []) for one in windows]
            self.anchors += 1
            if not _same_proposals(*pair):
                self.other_proposals += 1
                continue
            self.masklets += pair[0][0].rows.num_rows
            for a, b in zip(*pair, strict=True):
                ious = paired_ious(a.masks(), b.masks())
                self.ious += ious.tolist()
                self.offsets += [a.frame - anchor] * len(ious)

    def add_refined(self, ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> None:
        """Compare the labels of a clip, (frames, H, W)."""
        self.pixels += ours.size
        self.other_pixels += int((ours != theirs).sum())

    @property
    def mean_iou(self) -> float:
        return float(np.mean(self.ious)) if self.ious else 1.0

    @property
    def share_above(self) -> float:
        """Share of masks whose IoU is above 0.999."""
        return float((np.array(self.ious) > 0.999).mean()) if self.ious else 1.0

    @property
    def are_small(self) -> bool:
        """Whether the issue's bounds hold."""
        few = self.other_pixels * 10_000 < self.pixels
        same = self.mean_iou >= 0.9995 and self.share_above >= 0.99
        return self.other_proposals == 0 and same and few

    def details(self) -> dict[str, float]:
        return {
            "windows": self.anchors,
            "windows_of_other_proposals": self.other_proposals,
            "lowest_iou": min(self.ious, default=1.0),
            "share_identical": float((np.array(self.ious) == 1).mean()) if self.ious else 1.0,
            "share_above_0.999": self.share_above,
            "refined_pixels_differing_per_10000": 1e4 * self.other_pixels / self.pixels,
            **{f"mean_iou_at_offset_{t}": iou for t, iou in self._by_offset().items()},
        }

    def in_words(self) -> str:
        by_offset = ", ".join(f"{t}: {1 - iou:.1e}" for t, iou in self._by_offset().items())
        return (
            f"{self.other_proposals} of {self.anchors} windows with other proposals; "
            f"{self.share_above:.2%} of masks above 0.999; refined maps differ in "
            f"{1e4 * self.other_pixels / self.pixels:.3f} px of 10,000; "
            f"1 - IoU by frames since the anchor: {by_offset}"
        )

    def _by_offset(self) -> dict[int, float]:
        """Mean IoU at some numbers of frames since the proposal."""
        ious, offsets = np.array(self.ious), np.array(self.offsets)
        shown = [t for t in (0, 1, 2, 4, 8, 15, 31) if (offsets == t).any()]
        return {t: float(ious[offsets == t].mean()) for t in shown}


def paired_ious(a: Masks, b: Masks) -> NDArray[np.float64]:
    """(n,) IoU of each of (n, H, W) masks with its counterpart; 1 where both are empty."""
    union = (a | b).sum((1, 2))
    return np.where(union > 0, (a & b).sum((1, 2)) / np.maximum(union, 1), 1.0)


def mean_iou(ours: Sequence[Masks], theirs: Sequence[Masks]) -> float:
    """Mean over all masks of all frames, each (n, H, W)."""
    return float(np.mean([paired_ious(a, b) for a, b in zip(ours, theirs, strict=True)]))


def _same_proposals(ours: list[FrameMasklets], theirs: list[FrameMasklets]) -> bool:
    """Whether the proposals of a window have the same scores, in the same order."""
    if [p.rows.num_rows for p in ours] != [p.rows.num_rows for p in theirs]:
        return False
    score, stability = (
        np.abs(ours[0].values(name) - theirs[0].values(name))
        for name in ("predicted_iou", "stability")
    )
    stability_px = stability * ours[0].values("area")
    return bool(score.max() < _SAME_PREDICTED_IOU and stability_px.max() < _SAME_STABILITY_PX)
