"""How an arbiter is fitted."""

from pydantic import BaseModel, ConfigDict, Field


class FitSettings(BaseModel):
    """How an arbiter is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pixels_per_clip: int = Field(
        default=4000, ge=1, description="Disputed pixels of a clip and base model that are seen."
    )
    hidden: int = Field(default=32, ge=1, description="Units of each of two hidden layers.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Share of units that are dropped.")
    epochs: int = Field(default=3, ge=1, description="Passes over the pixels.")
    batch_pixels: int = Field(
        default=4096, ge=1, description="Pixels that a step of the fit looks at."
    )
    learning_rate: float = Field(default=2e-3, gt=0, description="Of AdamW, falling as a cosine.")
    seeds: int = Field(default=3, ge=1, description="Networks, whose mean decides.")
    folds: int = Field(
        default=4, ge=2, description="Parts of the clips; each is judged by what the others teach."
    )
    temperature_frame_step: int = Field(
        default=5, ge=1, description="Every n-th frame is looked at for the temperature."
    )
