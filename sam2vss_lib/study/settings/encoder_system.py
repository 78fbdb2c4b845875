"""What Table 3 compares: encoders whose features are pooled and classified, masklet by masklet."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EncoderSystem(BaseModel):
    """One encoder of Table 3, I-X, and the base system X beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str = Field(description="Name of the row as the paper prints it, such as I-CFFM.")
    backbone: str = Field(description="Backbone as the paper prints it; empty for I-SAM2.")
    encoder: str | None = Field(
        description="Network and, after @, the level of its features, such as sam2:demo or "
        "MODEL:WEIGHTS@fuse; none where there is none here, so that the row says so."
    )
    base: str = Field(
        description="Method and backbone of the base system X that I-X is compared with and that "
        "fills I-X_base."
    )

    @property
    def label(self) -> str:
        """Method and backbone, as in tables."""
        return f"{self.method} {self.backbone}".strip()

    @property
    def filled_method(self) -> str:
        """Row name of I-X_base."""
        return f"{self.method}_base"

    @property
    def filled_label(self) -> str:
        """Method and backbone of I-X_base."""
        return f"{self.filled_method} {self.backbone}".strip()
