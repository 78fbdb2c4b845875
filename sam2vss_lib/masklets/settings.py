"""What determines masklets: everything here, the checkpoint and the frames, and nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from sam2vss_lib.files import sha256_json


class MaskletSettings(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """Settings of proposals and propagation; the defaults are the paper's (section 3.1).

    The generator's remaining arguments, which the paper does not name, keep the defaults of
    `SAM2AutomaticMaskGenerator`. Hole filling is off: the published wheel lacks the compiled
    extension that stock SAM2 needs for it, so stock runs without it too.
    """

    window: int = Field(default=32, ge=1, description="frames a masklet is propagated through")
    points_per_side: int = Field(
        default=16, ge=1, le=256, description="point grid on the first frame"
    )
    pred_iou_thresh: float = Field(
        default=0.6, ge=0, le=1, description="keep predicted IoU above this"
    )
    stability_score_thresh: float = Field(
        default=0.8, ge=0, le=1, description="keep stability from this"
    )
    stability_score_offset: float = Field(
        default=0.9, ge=0, description="logit offset of the stability"
    )
    box_nms_thresh: float = Field(
        default=0.7, ge=0, le=1, description="box IoU of suppressed duplicates"
    )
    points_per_batch: int = Field(default=64, ge=1, description="prompts decoded together")
    fill_hole_area_px: Literal[0] = Field(default=0, description="largest hole filled in a mask")
    engine: Literal["batched", "stock"] = Field(
        default="batched", description="all objects at once, or stock sam2 calls"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="autocast type"
    )

    def sha256(self) -> str:
        """Hash of the settings as stored in every masklet file."""
        return sha256_json(self.model_dump(mode="json"))
