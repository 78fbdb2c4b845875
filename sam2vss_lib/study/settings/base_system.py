"""What Table 1 compares: base systems, and where their predictions come from."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sam2vss_lib.predictions.importers.formats import FORMATS


class BaseSystem(BaseModel):
    """One base system of Table 1 or 2, and where its predictions come from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str = Field(description="Name of the row as the paper prints it, such as CFFM.")
    backbone: str = Field(description="Backbone as the paper prints it, such as MiT-B1.")
    segmentor: str | None = Field(
        default=None,
        description="Base model that predicts, NAME[:CHECKPOINT] as of `sam2vss segment`; or "
        "give `predictions`.",
    )
    predictions: str | None = Field(
        default=None, description="Folder or file of predictions made elsewhere."
    )
    label_offset: Literal[0, 1] = Field(
        default=0,
        description="Number of the first class in prediction files, which use 0..C-1 or 1..C.",
    )
    format: str = Field(
        default="index",
        description=f"Format of the predictions ({', '.join(FORMATS)}), "
        "as `sam2vss predictions formats` describes them.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> BaseSystem:
        if (self.segmentor is None) == (self.predictions is None):
            raise ValueError(f"{self.label}: give either segmentor or predictions")
        if self.format not in FORMATS:
            known = ", ".join(FORMATS)
            raise ValueError(f"{self.label}: format {self.format!r}; known are {known}")
        return self

    @property
    def label(self) -> str:
        """Method and backbone, as in tables."""
        return f"{self.method} {self.backbone}".strip()
