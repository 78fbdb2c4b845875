"""The settings of words, apart from their code, which loads torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sam2vss_lib.isam2.feature_settings import FrameStride

#: how a phrase is said to the model, unless the caller says it otherwise
TEMPLATES = ("a photo of a {}.", "a photo of the {}.", "a {} in a video.", "{}")


class LookSettings(BaseModel):
    """What an image-text model sees of a masklet on a frame."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    look: Literal["crops", "patches", "both"] = Field(
        default="crops",
        description="A square crop around each mask; the patch tokens of the whole frame under it, "
        "one pass a frame; or the mean of the two.",
    )
    outside: Literal["mean", "kept"] = Field(
        default="mean",
        description="Pixels of a crop outside the mask: of the model's mean colour, or kept.",
    )
    margin: float = Field(
        default=0.1,
        ge=0,
        le=2,
        description="What a crop has around the mask's box on each side, over its longer side.",
    )
    side_px: int | None = Field(
        default=None,
        ge=1,
        description="Side to which frames are brought for patches; the model's own if not given.",
    )
    frame_stride: FrameStride = 1


class WordSettings(BaseModel):
    """How masklets are compared with words."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    templates: list[str] | None = Field(
        default=None,
        description="What a phrase is said in, with {} for it; repeatable. Its text features are "
        "the mean over these; without any, over four common ones.",
    )
    union: Literal["max", "log-sum-exp"] = Field(
        default="max", description="A class of several phrases: its best phrase, or all of them."
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="What similarities are divided by, beside the model's own scale, for "
        "probabilities; `sam2vss words calibrate` finds it on labelled clips.",
    )

    @field_validator("templates")
    @classmethod
    def _have_one_place(cls, templates: list[str] | None) -> list[str] | None:
        for template in templates or ():
            if template.count("{}") != 1:
                raise ValueError(f"{template!r} has not one {{}} in it, where the phrase goes")
        return templates
