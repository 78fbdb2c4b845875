"""What Table 3 compares: encoders whose features are pooled and classified, masklet by masklet."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class EncoderSystem(BaseModel):
    """One encoder of Table 3, I-X, and the base system X beside it.

    Attributes:
        method: row name as the paper prints it, such as I-CFFM.
        backbone: such as MiT-B1; "" for I-SAM2.
        encoder: as for `load_encoder`; None where there is none here, so that the row says so.
        base: label of the base system that I-X is compared with and that fills I-X_base.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str
    backbone: str
    encoder: str | None
    base: str

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
