"""How SAM2 is prompted again where no masklet covers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from sam2vss_lib.masklets.settings import MaskletSettings


class FillSettings(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """How SAM2 is prompted again where no masklet covers; off unless a store is to be filled.

    All else, such as window and precision, is of the masklets that are there.
    """

    prompts: Literal["grid", "predictions"] = Field(
        default="grid",
        description="What SAM2 is prompted by: points of a grid, or the connected segments of a "
        "base model's predictions too, each by its innermost point, its box and itself as a mask.",
    )
    fill_every_frames: int = Field(
        default=4,
        ge=1,
        description="Frames from one look at what is left to the next, from a window's first on.",
    )
    fill_points_per_side: int = Field(
        default=32,
        ge=0,
        le=256,
        description="Points along each side of a grid, of which those deep inside a connected part "
        "of what is left prompt, beside its innermost pixel.",
    )
    fill_pred_iou_thresh: float = Field(
        default=0.2, ge=0, le=1, description="New masks are kept above this predicted IoU."
    )
    fill_stability_score_thresh: float = Field(
        default=0.4, ge=0, le=1, description="New masks are kept from this stability on."
    )
    fill_min_share: float = Field(
        default=0.0005,
        ge=0,
        le=1,
        description="Share of a frame from which on a connected part of what is left prompts.",
    )
    fill_min_depth_px: float = Field(
        default=1.5,
        ge=0,
        le=32,
        description="Pixels that a prompting point is away from what is covered, at least.",
    )
    fill_min_new: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of a new mask that must lie where nothing covers yet; at 0 new masks "
        "are only kept from being duplicates of each other.",
    )

    @classmethod
    def whole_windows(cls, masklets: MaskletSettings) -> FillSettings:
        """The settings by which predictions' segments prompt whole windows in the grid's place.

        Thresholds and the suppression of duplicates are those of the grid.
        """
        return cls(
            prompts="predictions",
            fill_every_frames=masklets.window,
            fill_points_per_side=0,
            fill_pred_iou_thresh=masklets.pred_iou_thresh,
            fill_stability_score_thresh=masklets.stability_score_thresh,
            fill_min_new=0,
        )

    def identity(self) -> dict[str, Any]:
        """What stores record of the settings; JSON-able."""
        return self.model_dump(mode="json")
