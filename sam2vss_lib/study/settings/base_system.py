"""What Table 1 compares: base systems, and where their predictions come from."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from sam2vss_lib.predictions.importers.formats import FORMATS


class BaseSystem(BaseModel):
    """One base system of Table 1 and where its predictions come from.

    Attributes:
        method: row name as the paper prints it, such as CFFM.
        backbone: such as MiT-B1.
        segmentor: a model of `sam2vss segment`, NAME[:CHECKPOINT]; or
        predictions: a folder of predictions made elsewhere.
        label_offset: 1 for prediction files that use 1..C as the masks do.
        format: of the predictions, one of `FORMATS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str
    backbone: str
    segmentor: str | None = None
    predictions: str | None = None
    label_offset: Literal[0, 1] = 0
    format: str = "index"

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
