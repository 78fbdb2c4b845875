"""What may be left out of SAM2's computations, or run otherwise, each by its own setting.

All are off by default: masklets are then those of stock sam2. `python -m benchmarks` measures what
each saves, and what it costs in accuracy.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from sam2vss_lib.errors import SettingsError


class Approximations(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """Approximations of the batched engine."""

    share_anchor_encoding: bool = Field(
        default=False,
        description="Whether masks are proposed on the encoding of the frame that tracking uses.",
    )
    merge_iou: float | None = Field(
        default=None,
        gt=0.5,
        le=1,
        description="IoU from which on masks on a frame are followed as one; never if not given.",
    )
    memory_stride_frames: int = Field(
        default=1, ge=1, description="Only the mask of every n-th frame is remembered, n in frames."
    )
    recent_memories: int | None = Field(
        default=None,
        ge=0,
        description="Number of remembered masks that are read, the first frame's aside; "
        "SAM2's if not given.",
    )
    compile_encoder: bool = Field(
        default=False,
        description="Whether torch.compile runs the image encoder, which changes the last bits.",
    )
    compile_step: bool = Field(
        default=False,
        description="Whether torch.compile runs what is done for every frame: reading memories, "
        "mask decoder, memory encoder. Objects run in batches of a few sizes, filled up with "
        "nothing; the last bits change.",
    )
    attention_backend: Literal["flash", "efficient", "cudnn", "math"] | None = Field(
        default=None,
        description="Kernels by which attention is computed, which change the last bits; "
        "PyTorch's choice if not given. Most need precision bfloat16 and a GPU.",
    )
    channels_last: bool = Field(
        default=False,
        description="Whether the image encoder's convolutions have channels innermost in memory, "
        "as the memory encoder's have anyhow, which changes the last bits.",
    )

    def in_use(self) -> dict[str, Any]:
        """Names and values of the approximations that are on."""
        return {
            name: getattr(self, name)
            for name, field in Approximations.model_fields.items()
            if getattr(self, name) != field.default
        }


#: no approximation at all
EXACT = Approximations()
#: several times as fast as stock sam2; `benchmarks/approximations.py` measures what it costs
FAST = Approximations(
    share_anchor_encoding=True, merge_iou=0.7, memory_stride_frames=4, recent_memories=1
)
PRESETS = {"exact": EXACT, "fast": FAST}


def preset_values(name: str) -> dict[str, Any]:
    """Settings of a preset that differ from the defaults.

    Raises:
        SettingsError: no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(f"unknown preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name].in_use()
