"""How masklets vote, and how their overlaps are resolved."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sam2vss_lib.refinement.registry import VOTES

Vote = Annotated[str, AfterValidator(VOTES.checked)]
Overlap = Literal["area", "predicted_iou", "stability", "logit"]
OnTop = Annotated[
    Overlap,
    Field(
        description="Which masklet is on top: the smallest (area), or that with the most.",
        json_schema_extra={"paper": "left open"},
    ),
]


class RefineSettings(BaseModel):
    """What refined labels depend on beside predictions and masklets.

    A pixel under several masklets takes its class from the smallest of them (`area`), from that of
    the highest proposal score (`predicted_iou`, `stability`), or from that with the largest `logit`
    at the pixel. Masklets without any vote take no part, except under `logit`, where the store
    knows the winner only: its pixels keep the prediction. On a window's first frame the logits of
    all prompts are about equal, and `logit` then prefers the higher predicted IoU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    vote: Vote = Field(
        default="frame",
        description=f"How masklets vote ({VOTES.in_words()}).",
        json_schema_extra={"paper": "left open"},
    )
    overlap: OnTop = "area"
