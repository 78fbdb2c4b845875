"""The settings of features, apart from their code, which loads torch."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Pool = Annotated[
    Literal["masklet", "frame"],
    Field(
        description="What a feature vector is the mean over: a masklet's pixels in its window "
        "(Eq. 3 as the text has it), or those on one frame."
    ),
]
FrameStride = Annotated[
    int,
    Field(
        ge=1,
        description="Every n-th frame of a window is encoded, from its first, n in frames; "
        "a masklet that is hidden on all of them has no features.",
    ),
]


class FeatureSettings(BaseModel):
    """What one feature vector stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pool: Pool = "masklet"
    frame_stride: FrameStride = 1
    dtype: Literal["float16", "float32"] = Field(
        default="float16", description="Number type in which features are stored."
    )
