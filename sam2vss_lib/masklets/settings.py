"""What determines masklets: everything here, the checkpoint and the frames, and nothing else."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sam2vss_lib.masklets.approximations import Approximations, preset_values
from sam2vss_lib.masklets.registry import ENGINES
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.validation import validated


class MaskletSettings(Approximations, frozen=True):
    """Settings of proposals and propagation; the defaults are the paper's (section 3.1).

    What the paper takes, and where it says so, stands in the fields as `paper`.

    The generator's remaining arguments, which the paper does not name, keep the defaults of
    `SAM2AutomaticMaskGenerator`. Hole filling is off: the published wheel lacks the compiled
    extension that stock SAM2 needs for it, so stock runs without it too.
    """

    window: int = Field(
        default=32,
        ge=1,
        description="Frames through which a masklet is propagated.",
        json_schema_extra={"paper": "32 (Table 4)"},
    )
    points_per_side: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Points along each side of the grid on a window's first frame.",
        json_schema_extra={"paper": "16 (Table 5)"},
    )
    pred_iou_thresh: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Proposals are kept above this predicted IoU.",
        json_schema_extra={"paper": "0.6 (Table 6)"},
    )
    stability_score_thresh: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Proposals are kept from this stability on.",
        json_schema_extra={"paper": "0.8 (Table 7)"},
    )
    stability_score_offset: float = Field(
        default=0.9,
        ge=0,
        description="Logits by which the cut is moved up and down to measure stability.",
        json_schema_extra={"paper": "0.9 (section 3.1)"},
    )
    box_nms_thresh: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="IoU of boxes above which the weaker of two proposals is a duplicate and goes.",
    )
    points_per_batch: int = Field(
        default=64, ge=1, description="Points that the mask decoder is prompted with at a time."
    )
    fill_hole_area_px: Literal[0] = Field(
        default=0, description="Largest hole that is filled in a mask, in pixels: none is."
    )
    engine: Annotated[str, AfterValidator(ENGINES.checked)] = Field(
        default="batched", description=f"What makes the masklets ({ENGINES.in_words()})."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Number type in which SAM2 multiplies (autocast)."
    )

    @model_validator(mode="after")
    def _engine_can(self) -> Self:
        if self.in_use() and not ENGINES[self.engine].approximates:
            names = ", ".join(self.in_use())
            raise ValueError(
                f"{names}: engine {self.engine} has no such approximation; use engine: batched"
            )
        return self

    @classmethod
    def from_preset(cls, name: str, **changes: Any) -> Self:
        """Settings of a preset ("exact" or "fast"), with changes.

        Raises:
            SettingsError: no such preset, or a change that is not possible.
        """
        return validated(cls, {**preset_values(name), **changes}, "setting")

    def identity(self) -> dict[str, Any]:
        """JSON-able settings; approximations that are off are left out.

        So masklets without any are the same, and found again, whatever approximations there are.
        """
        off = Approximations.model_fields.keys() - self.in_use().keys()
        return self.model_dump(mode="json", exclude=off)

    def sha256(self) -> str:
        """Hash of the settings as stored in every masklet file."""
        return sha256_json(self.identity())
