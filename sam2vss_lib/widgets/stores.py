"""Which stored masklets serve a choice of settings, and what can be said of the result."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.proposals import passes_iou, passes_stability
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import FILL, ClipMasklets, FrameMasklets, MaskletStore
from sam2vss_lib.refinement.settings import Overlap, Vote

_VARIED = ("window", "points_per_side", "pred_iou_thresh", "stability_score_thresh")


class Choice(NamedTuple):
    """What labels are refined by."""

    window: int  # frames
    points_per_side: int
    pred_iou_thresh: float
    stability_score_thresh: float
    vote: Vote = "frame"
    overlap: Overlap = "area"

    @classmethod
    def of(
        cls, settings: MaskletSettings, vote: Vote = "frame", overlap: Overlap = "area"
    ) -> Choice:
        """The choice that masklets of these settings were made for."""
        varied = {name: getattr(settings, name) for name in _VARIED}
        return cls(**varied, vote=vote, overlap=overlap)

    @property
    def grid(self) -> tuple[int, int]:
        """What SAM2 has to be run anew for: window and points."""
        return self.window, self.points_per_side

    def __str__(self) -> str:
        """In words, for legends."""
        return (
            f"IoU above {self.pred_iou_thresh:g}, stability from {self.stability_score_thresh:g}, "
            f"window {self.window}, {self.points_per_side}x{self.points_per_side} points, "
            f"{self.vote} vote, {self.overlap} on top"
        )


class ClipStores:
    """Stored masklets of one clip that differ in window, points and thresholds alone.

    Args:
        clip: the clip.
        stores: the study's own first; of the others those are used that hold masklets of the same
            frames by the same model, with all other settings alike.
    """

    def __init__(self, clip: Clip, stores: Iterable[MaskletStore]) -> None:
        self.clip = clip
        self._stores: dict[MaskletSettings, MaskletStore] = {}
        self._opened: tuple[MaskletStore, OpenedMasklets] | None = None
        alike: Any = None
        for store in stores:
            if not store.path(clip.name).is_file():
                continue
            metadata = store.metadata(clip.name)
            settings = MaskletSettings.model_validate(metadata["settings"])
            keys = ("checkpoint_sha256", "config_sha256", "frames_sha256", FILL)
            same = (
                settings.model_dump(exclude={*_VARIED}),
                *(metadata.get(key) for key in keys),
            )
            alike = alike or same
            if same == alike:
                self._stores.setdefault(settings, store)

    @property
    def settings(self) -> list[MaskletSettings]:
        """Of all stores, the study's own first."""
        return [*self._stores]

    def grids(self) -> list[tuple[int, int]]:
        """Windows and points of which there are masklets."""
        return sorted({(s.window, s.points_per_side) for s in self._stores})

    def least(self, grid: tuple[int, int]) -> tuple[float, float]:
        """The lowest thresholds, predicted IoU and stability, that masklets are stored for."""
        of_grid = [s for s in self._stores if (s.window, s.points_per_side) == grid]
        return (
            min(s.pred_iou_thresh for s in of_grid),
            min(s.stability_score_thresh for s in of_grid),
        )

    def serving(self, choice: Choice) -> MaskletSettings:
        """The settings whose masklets are filtered for a choice.

        They are the highest that are not above it, as the least is left to chance then; where all
        are above it in one of the thresholds, the lowest.
        """
        of_grid = [s for s in self._stores if (s.window, s.points_per_side) == choice.grid]
        below = [
            s
            for s in of_grid
            if s.pred_iou_thresh <= choice.pred_iou_thresh
            and s.stability_score_thresh <= choice.stability_score_thresh
        ]
        if below:
            return max(below, key=lambda s: (s.stability_score_thresh, s.pred_iou_thresh))
        return min(of_grid, key=lambda s: (s.stability_score_thresh, s.pred_iou_thresh))

    def opened(self, choice: Choice) -> OpenedMasklets:
        """The stored masklets that serve a choice; those of one store are kept open.

        Raises:
            DataError: the store is damaged, of other frames, or lacks what the overlap rule needs.
        """
        settings = self.serving(choice)
        store = self._stores[settings]
        if self._opened is None or self._opened[0] is not store:
            opened = OpenedMasklets(settings, store.open(self.clip, overlap=choice.overlap))
            self._opened = store, opened
        return self._opened[1]


class OpenedMasklets:
    """The masklets of one clip and one setting, by frame."""

    def __init__(self, settings: MaskletSettings, stored: ClipMasklets) -> None:
        self.settings = settings
        self.stored = stored
        self.windows = list(stored.windows())
        self._places = {
            part.frame: (number, index)
            for number, parts in enumerate(self.windows)
            for index, part in enumerate(parts)
        }

    def place(self, frame: int) -> tuple[int, int] | None:
        """Number of the window among those with masklets, and the frame's index in it."""
        return self._places.get(frame)

    def kept(self, part: FrameMasklets, choice: Choice) -> NDArray[np.bool_]:
        """Which of a frame's masklets, (n,), pass the thresholds as they do in SAM2's generator.

        Those that fill what the others left, by thresholds of their own, all do.
        """
        scores = torch.from_numpy(part.values("predicted_iou"))
        scores = scores.to(getattr(torch, self.settings.precision))  # as they were compared
        passed = passes_iou(scores, choice.pred_iou_thresh)
        passed &= self._stable(part, choice)
        kept = passed.numpy()
        return kept if self._fill is None else kept | (part.values("masklet") >= self._fill)

    def _stable(self, part: FrameMasklets, choice: Choice) -> torch.Tensor:
        stability = torch.from_numpy(part.values("stability"))
        return passes_stability(stability, choice.stability_score_thresh)

    @property
    def _fill(self) -> int | None:
        """Number of the first masklet that fills what others left; None where none does."""
        fill = self.stored.metadata.get(FILL, {})
        return fill["first_masklet"] if fill.get("source_sha256") else None

    @cached_property
    def _anchors(self) -> list[FrameMasklets]:
        return [parts[0] for parts in self.windows]

    def unstable(self, choice: Choice) -> int:
        """How many masklets of the clip only the stability threshold removes."""
        loose = choice._replace(stability_score_thresh=0.0)
        return sum(
            int(self.kept(part, loose).sum() - self.kept(part, choice).sum())
            for part in self._anchors
        )

    def remark(self, choice: Choice) -> str:
        """Whether a run of SAM2 with the choice's settings gives the same, in a sentence or two."""
        filled = " Masklets that fill gaps stay at any threshold."
        return self._remark(choice) + (filled if self._fill is not None else "")

    def _remark(self, choice: Choice) -> str:
        """The same of masklets that are no fill.

        Duplicates are suppressed in the order of predicted IoU, so that a masklet's fate is decided
        by those of higher IoU alone: raising that threshold takes away masklets and nothing else.
        A masklet that is not stable enough, however, may have suppressed one that is.
        """
        own = self.settings
        if (choice.pred_iou_thresh, choice.stability_score_thresh) == (
            own.pred_iou_thresh,
            own.stability_score_thresh,
        ):
            return "As stored: a run of SAM2 with these settings."
        if (
            choice.pred_iou_thresh < own.pred_iou_thresh
            or choice.stability_score_thresh < own.stability_score_thresh
        ):
            return (
                f"Stored masklets have a predicted IoU above {own.pred_iou_thresh:g} and a "
                f"stability from {own.stability_score_thresh:g}: from there thresholds can only go "
                "up, and what is below them is not shown."
            )
        if own.merge_iou is not None:
            return "May differ from a run of SAM2: masklets are merged with those that are there."
        unstable = self.unstable(choice)
        said = "Equals a run of SAM2 with these settings."
        if unstable:
            said = (
                f"May differ from a run of SAM2: {unstable} masklets are less stable, and the "
                "duplicates that they suppressed are not stored."
            )
        if choice.overlap == "logit":
            said += (
                " Where a masklet that is left out had the largest logit, the base prediction is "
                "shown."
            )
        return said
