"""How a base model is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    import torch


class InferenceOptions(BaseModel, frozen=True, extra="forbid", strict=True):
    """How a base model is run; only the first two change what comes out."""

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Number type in which the base model multiplies (autocast)."
    )
    tv3s_mode: Literal[0, 1, 2] = Field(
        default=0,
        description="TV3S reads the references (0), one frame (1), "
        "or one frame with a state carried along the clip (2).",
    )
    batch_frames: int = Field(
        default=4, ge=1, description="Frames that are in the network at a time."
    )
    cache_references: bool = Field(
        default=True,
        description="Whether features of frames that later ones refer to are kept, not recomputed.",
    )

    def identity(self) -> dict[str, Any]:
        """What outputs record of the options; JSON-able."""
        return self.model_dump(mode="json", include={"precision", "tv3s_mode"})

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context that networks run in."""
        import torch  # options are validated without it

        reduced = self.precision == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=reduced)
